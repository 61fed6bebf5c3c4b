"""JIFR equals its equations, and what it is reduced to where a part is taken away."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds

from socialjax.data.schema import Frames
from socialjax.models.cf.bpr import BPR
from socialjax.models.visual import jifr_scores
from socialjax.models.visual.item_features import padded_frames
from socialjax.models.visual.jifr import JIFR
from socialjax.models.visual.vbpr import VBPR
from socialjax.ops import sample

SMALL = {"dim": 4, "visual_dim": 3, "init_std": 0.3}
ALL = {"attn": "mlp", "fusion": "gate", "item_visual_residual": True, "frame_bias": True}
CASES = {
    "attention": {},
    "mean": {"pool": "mean"},
    "max": {"pool": "max"},
    "mlp": {"attn": "mlp", "attention_dim": 5},
    "gate": {"fusion": "gate", "gate_dim": 5},
    "gate of the mean, residual": {"pool": "mean", "fusion": "gate", "item_visual_residual": True},
    "residual": {"item_visual_residual": True},
    "frame bias": {"frame_bias": True},
    "all": ALL,
    "visual alone": {"space": "visual"},
    "collaborative alone": {"space": "collaborative"},
    "bce": {"objective": "bce", "negatives": 2},
    "squared": {"objective": "squared", "negatives": 2},
    "narrow features": {"reduce_to": 2},
}


def table(features: np.ndarray, width: int) -> np.ndarray:
    """Less the mean, projected on the leading directions of a full decomposition, of mean length 1."""
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    if width < features.shape[1]:
        centred = centred @ np.linalg.svd(centred, full_matrices=False)[2][:width].T
    return centred / np.linalg.norm(centred, axis=1).mean()


def perceptron(of: dict, **inputs):
    """Hidden layer over the inputs one by one, relu, output."""
    total = sum(value @ of[name]["kernel"] + of[name].get("bias", 0.0) for name, value in inputs.items())
    return float(np.maximum(total, 0) @ of["out"]["kernel"][:, 0] + of["out"].get("bias", np.zeros(1))[0])


class Twin:
    """The equations of section 3, one pair and one frame at a time, in double precision."""

    def __init__(self, model: JIFR, features: np.ndarray, offsets: np.ndarray, params: dict):
        self.model, self.features, self.offsets = model, features, offsets
        self.p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
        self.t = float(np.clip(np.exp(self.p.get("log_sharpness", 0.0)), 0.1, 20))

    def frame(self, a: int, k: int) -> float:
        l_ak = self.p["visual_users"][a] @ (self.p["projection"].T @ self.features[k])
        return l_ak + (self.p["frame_bias"] @ self.features[k] if self.model.frame_bias else 0.0)

    def shares(self, a: int, i: int, t: float | None = None) -> dict[int, float]:
        frames = range(self.offsets[i], self.offsets[i + 1])
        liked = {k: self.frame(a, k) for k in frames}
        if self.model.pool == "max":
            return {k: float(k == max(liked, key=liked.get)) for k in frames}
        t = 0.0 if self.model.pool == "mean" else self.t if t is None else t
        weight = {k: np.exp(t * self.attention(a, i, k)) for k in frames}
        return {k: value / sum(weight.values()) for k, value in weight.items()}

    def attention(self, a: int, i: int, k: int) -> float:
        if self.model.attn == "self" or self.model.pool != "att":
            return self.frame(a, k)
        p, y = self.p, self.p["projection"].T @ self.features[k]
        inputs = {"visual_users": p["visual_users"][a], "users": self.u(a), "frames": y, "items": self.v(i)}
        return perceptron(p["attention"], **inputs)

    def u(self, a: int):
        return self.p["users"][a] * (self.model.space != "visual")

    def v(self, i: int):
        return self.p["items"][i] * (self.model.space != "visual")

    def parts(self, a: int, i: int, t: float | None = None) -> dict[str, float]:
        model, p = self.model, self.p
        c = self.u(a) @ self.v(i)
        found = {"taste": c, "frames": 0.0, "residual": 0.0, "item_bias": p["item_bias"][i]}
        if model.space == "collaborative":
            return found
        share = self.shares(a, i, t)
        found["frames"] = sum(share[k] * self.frame(a, k) for k in share)
        if model.item_visual_residual and share:
            found["residual"] = p["visual_users"][a] @ p["residual"][i]
        if model.fusion == "gate":
            seen = sum((share[k] * (p["projection"].T @ self.features[k]) for k in share), np.zeros(model.visual_dim))
            if model.item_visual_residual and share:
                seen = seen + p["residual"][i]
            inputs = {"users": self.u(a), "visual_users": p["visual_users"][a], "items": self.v(i), "look": seen}
            g = 1 / (1 + np.exp(-perceptron(p["gate"], **inputs)))
            found |= {"taste": g * c, "frames": (1 - g) * found["frames"], "residual": (1 - g) * found["residual"]}
        return found

    def score(self, a: int, i: int, t: float | None = None) -> float:
        return sum(self.parts(a, i, t).values())

    def loss(self, batch) -> tuple[float, float]:
        """(loss with all penalties, objective), sums over rows."""
        model, p = self.model, self.p
        total = objective = 0.0
        for a, i, others, weight in zip(batch.users, batch.items, batch.negatives, batch.weight):
            good, bad = self.score(a, i), np.array([self.score(a, j) for j in others])
            row = {
                "bpr": lambda: np.log1p(np.exp(bad - good)).mean(),  # noqa: B023
                "bce": lambda: (np.log1p(np.exp(-good)) + np.log1p(np.exp(bad)).sum()) / (1 + len(bad)),  # noqa: B023
                "squared": lambda: 0.5 * ((1 / (1 + np.exp(good))) ** 2 + ((1 / (1 + np.exp(-bad))) ** 2).sum()),  # noqa: B023
            }[model.objective]()
            objective += weight * row
            norm = lambda j: (p["items"][j] ** 2).sum() + p["item_bias"][j] ** 2  # noqa: E731
            row += model.l2 * ((p["users"][a] ** 2).sum() + norm(i) + np.mean([norm(j) for j in others]))
            if model.space != "collaborative":
                own = (p["visual_users"][a] ** 2).sum()
                if model.item_visual_residual:
                    square = lambda j: (p["residual"][j] ** 2).sum()  # noqa: E731
                    own += square(i) + np.mean([square(j) for j in others])
                shared = [p[name] for name in ("projection", "frame_bias", "attention", "gate") if name in p]
                row += model.visual_l2 * own
                row += model.feature_l2 * sum((leaf**2).sum() for leaf in jax.tree.leaves(shared))
            total += weight * row
        return total, objective


def everything(model, side, params):
    """Scores of all pairs f32[U, I], the way they are made for all items at once."""
    state = worlds.encode(model, params, side)
    num_users, num_items = side.num_users, side.offsets.shape[0] - 1
    every = jnp.broadcast_to(jnp.arange(num_items), (num_users, num_items))
    return np.asarray(jax.jit(model.score)(state, jnp.arange(num_users), every)), state


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    model, data = JIFR(**SMALL | {"feature_l2": 0.01} | CASES[name]), worlds.with_frames(worlds.small())
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    features = table(data.frames.features, model.reduce_to)
    if model.reduce_to < 4:  # directions are free in sign: compare lengths, and go on with what was found
        np.testing.assert_allclose(side.features @ side.features.T, features @ features.T, atol=1e-5)
        features = side.features.astype(np.float64)
    np.testing.assert_allclose(side.features, features, atol=1e-5)
    twin = Twin(model, features, data.frames.offsets, params)
    expected = [[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    scores, state = everything(model, side, params)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    few = np.array([[5, 2], [0, 6], [3, 3]])  # few items: their frames alone are looked at
    by_pair = jax.jit(model.score)(state, np.array([0, 4, 8]), few)
    np.testing.assert_allclose(by_pair, np.take_along_axis(scores[[0, 4, 8]], few, axis=1), rtol=1e-5, atol=1e-5)
    batch = worlds.random_batch(data, model.negatives)
    (total, weight), metrics = jax.jit(lambda p: model.loss(p, side, batch, 3))(params)
    assert float(weight) == batch.weight.sum()
    np.testing.assert_allclose([total, metrics["objective"]], twin.loss(batch), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["attention", "max", "gate", "all", "collaborative alone", "visual alone"])
def test_parts_add_up_to_the_score_and_frames_to_their_part(name):
    model, data = JIFR(**SMALL | CASES[name]), worlds.with_frames(worlds.small())
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    scores, state = everything(model, side, params)
    users, items = np.repeat(np.arange(9), 7), np.tile(np.arange(7), 9)
    why = model.explain(state, side, users, items)
    np.testing.assert_allclose(sum(why.parts.values()), scores.ravel(), atol=1e-5)
    np.testing.assert_allclose(why.score, scores.ravel(), atol=1e-5)
    twin = Twin(model, np.float64(side.features), data.frames.offsets, params)
    for pair, (a, i) in enumerate(zip(users, items)):
        for part, value in twin.parts(a, i).items():
            assert why.parts.get(part, np.zeros(63))[pair] == pytest.approx(value, abs=1e-5)
    if name == "collaborative alone":
        assert why.elements == {}
        return
    told = why.elements["frames"]
    for pair, (a, i) in enumerate(zip(users, items)):
        row = slice(told.offsets[pair], told.offsets[pair + 1])
        np.testing.assert_array_equal(told.ids[row], np.arange(data.frames.offsets[i], data.frames.offsets[i + 1]))
        np.testing.assert_allclose(told.weight[row], list(twin.shares(a, i).values()), atol=1e-5)
        liked = [twin.frame(a, k) for k in told.ids[row]]
        np.testing.assert_allclose(told.columns["preference"][row], liked, atol=1e-5)
        assert told.contribution[row].sum() == pytest.approx(why.parts["frames"][pair], abs=1e-5)


@pytest.mark.parametrize("case", [{}, ALL])
def test_frames_are_ranked_by_what_the_user_likes_whatever_pools_them(case):
    model, data = JIFR(**SMALL, **case), worlds.with_frames(worlds.small())
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    state, twin = worlds.encode(model, params, side), None
    twin = Twin(model, np.float64(side.features), data.frames.offsets, params)
    frames = np.array([[0, 1, 2], [5, 3, 3]], np.int32)
    expected = [[twin.frame(a, k) for k in row] for a, row in zip((2, 7), frames)]
    np.testing.assert_allclose(model.frame_scores(state, side, np.array([2, 7]), frames), expected, atol=1e-5)


def test_with_the_visual_term_off_it_is_bpr():
    data = worlds.with_frames(worlds.small())
    mine, other = JIFR(**SMALL, space="collaborative", l2=0.02), BPR(dim=4, l2=0.02)
    side, plain = mine.prepare(data), other.prepare(data)
    params = worlds.random_params(mine, side)
    shared = {name: params[name] for name in ("users", "items", "item_bias")}
    scores, _ = everything(mine, side, params)
    theirs, (loss, _) = worlds.scores_and_loss(other, shared, plain, worlds.random_batch(data))
    np.testing.assert_allclose(scores, theirs, atol=1e-6)
    np.testing.assert_allclose(mine.loss(params, side, worlds.random_batch(data), 0)[0], loss, rtol=1e-5)


def test_with_one_frame_an_item_it_is_vbpr_without_visual_bias():
    rng = np.random.default_rng(3)
    looks = rng.normal(size=(7, 5)).astype(np.float32)
    looks -= looks.mean(axis=0)
    data = dataclasses.replace(
        worlds.small(), item_features=looks, frames=Frames(np.arange(8), looks), frame_likes=None
    )
    mine = JIFR(**SMALL, pool="att", l2=0.02, visual_l2=0.02, feature_l2=0.01)
    other = VBPR(dim=4, visual_dim=3, visual_bias=False, l2=0.02, bias_l2=0.0, feature_l2=0.01)
    side, plain = mine.prepare(data), other.prepare(data)
    params = worlds.random_params(mine, side)
    shared = {name: value for name, value in params.items() if name != "log_sharpness"}
    scores, _ = everything(mine, side, params)
    theirs, (_, found) = worlds.scores_and_loss(other, shared, plain, worlds.random_batch(data))
    np.testing.assert_allclose(scores, theirs, atol=1e-5)
    _, metrics = mine.loss(params, side, worlds.random_batch(data), 0)
    np.testing.assert_allclose(metrics["objective"], found["objective"], rtol=1e-5)


def test_without_sharpness_all_frames_count_alike_and_with_much_the_best_alone():
    data = worlds.with_frames(worlds.small())
    model = JIFR(**SMALL)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    state = worlds.encode(model, params, side)
    users, items = np.arange(9), np.broadcast_to(np.arange(7), (9, 7))
    for t, pool in ((0.0, "mean"), (1e5, "max")):
        other = dataclasses.replace(model, pool=pool)
        blunt = model.score(state.replace(t=jnp.float32(t)), users, items)
        np.testing.assert_allclose(blunt, other.score(state, users, items), atol=1e-5)


def test_an_item_without_frames_has_no_visual_part():
    data = worlds.with_frames(worlds.small())
    none = np.flatnonzero(np.diff(data.frames.offsets) == 0)
    assert len(none)
    for name in ("attention", "max", "all"):
        model = JIFR(**SMALL | CASES[name])
        side = model.prepare(data)
        params = worlds.random_params(model, side)
        state = worlds.encode(model, params, side)
        why = model.explain(state, side, np.arange(9), np.repeat(none[:1], 9))
        assert not why.parts.get("frames", np.zeros(1)).any() and not why.parts.get("residual", np.zeros(1)).any()


@pytest.mark.parametrize("name", ["attention", "mlp", "gate", "max"])
def test_the_order_of_an_items_frames_changes_nothing(name):
    model, data = JIFR(**SMALL | CASES[name]), worlds.with_frames(worlds.small())
    offsets, rng = data.frames.offsets, np.random.default_rng(5)
    turn = np.concatenate([rng.permutation(np.arange(a, b)) for a, b in itertools.pairwise(offsets)])
    assert (turn != np.arange(len(turn))).any()
    turned = dataclasses.replace(data, frames=Frames(offsets, data.frames.features[turn]))
    sides = [model.prepare(each) for each in (data, turned)]
    params = worlds.random_params(model, sides[0])
    (scores, first), (again, second) = (everything(model, side, params) for side in sides)
    np.testing.assert_allclose(scores, again, atol=1e-5)
    batch = worlds.random_batch(data, model.negatives)
    np.testing.assert_allclose(*(model.loss(params, side, batch, 1)[0][0] for side in sides), rtol=1e-5)
    users = np.zeros(1, np.int32)
    liked = model.frame_scores(first, sides[0], users, turn[None].astype(np.int32))
    same = model.frame_scores(second, sides[1], users, np.arange(len(turn), dtype=np.int32)[None])
    np.testing.assert_allclose(liked, same, atol=1e-5)


def test_frames_above_the_most_are_drawn_evenly_and_never_twice():
    offsets, width = jnp.array([0, 3, 10, 10]), 4
    seen = np.zeros(10)
    key = sample.fold(jnp.arange(3)[None, :], jnp.arange(2000)[:, None])
    group = padded_frames(offsets, jnp.tile(jnp.arange(3), (2000, 1)), width, key)
    for there, places in zip(np.asarray(group.valid), np.asarray(group.rows)):
        np.testing.assert_array_equal(there.sum(axis=1), [3, 4, 0])
        np.testing.assert_array_equal(places[0][there[0]], [0, 1, 2])
        drawn = places[1][there[1]]
        assert len(set(drawn)) == 4 and drawn.min() >= 3
        seen[drawn] += 1
    np.testing.assert_allclose(seen[3:] / 2000, 4 / 7, atol=0.05)


def test_training_with_few_frames_has_the_whole_loss_in_the_mean_and_says_what_it_leaves_out():
    data = worlds.with_frames(worlds.small())
    whole, few = (JIFR(**SMALL, pool="mean", objective="squared", k_max=k) for k in (20, 2))
    side = whole.prepare(data)
    counts = np.diff(data.frames.offsets)
    assert few.truncated(side) == pytest.approx(np.maximum(counts - 2, 0).sum() / counts.sum()) and counts.max() > 2
    assert whole.truncated(side) == 0
    params, batch = worlds.random_params(whole, side), worlds.random_batch(data)
    candidates = jnp.concatenate([batch.items[:, None], batch.negatives], axis=1)

    @jax.jit
    def mean(rngs):
        def terms(rng):
            return jifr_scores.training_scores(few, few.training_state(params, side, rng), side, batch, candidates)

        return jnp.mean(jax.lax.map(terms, rngs), axis=0)

    expected = jifr_scores.training_scores(whole, whole.training_state(params, side, 0), side, batch, candidates)
    np.testing.assert_allclose(mean(jnp.arange(3000, dtype=jnp.uint32)), expected, atol=0.03)


def test_wide_features_keep_their_inner_products_in_the_leading_directions():
    rng = np.random.default_rng(0)
    low = rng.normal(size=(60, 8)) @ rng.normal(size=(8, 300)) + 0.01 * rng.normal(size=(60, 300)) + 3
    data = worlds.small()
    offsets = np.array([0, 10, 20, 30, 40, 50, 60, 60])
    data = dataclasses.replace(data, frames=Frames(offsets, low.astype(np.float16)))
    side = JIFR(reduce_to=16).prepare(data)
    assert side.features.shape == (60, 16) and side.features.dtype == np.float32
    full = table(np.float64(low.astype(np.float16)), 300)
    np.testing.assert_allclose(side.features @ side.features.T, full @ full.T, atol=5e-3)
    np.testing.assert_array_equal(side.features, JIFR(reduce_to=16).prepare(data).features)


@pytest.mark.parametrize(
    "wrong",
    [{"pool": "sum"}, {"k_max": 0}, {"visual_l2": -1.0}, {"sharpness": 0.0}, {"fusion": "gate", "dropout": 0.1}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=list(wrong)[-1]):
        JIFR(**wrong)


def test_data_whose_items_have_no_frame_at_all_are_refused():
    data = dataclasses.replace(worlds.small(), frames=Frames(np.zeros(8, np.int64), np.zeros((0, 3), np.float32)))
    with pytest.raises(ValueError, match="JIFR needs frames, and data set 'small' has none"):
        JIFR().prepare(data)
