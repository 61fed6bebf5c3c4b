"""What every model promises, whatever it is: one set of tests for all, on planted data."""

import contextlib
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds
from cases import CASES

from socialjax.contract import Model
from socialjax.explain.liked_frames import liking_of
from socialjax.models import MODELS, REFERENCES, name_of
from socialjax.models.cf.bpr import BPR
from socialjax.models.visual.jifr import JIFR
from socialjax.models.visual.saers import SAERS
from socialjax.ops.forest import sampled
from socialjax.train import rows as by_rows
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, on_device, resident
from socialjax.worlds import planted

SLOW = pytest.mark.slow


def quick(names, among=(*MODELS, *REFERENCES)):
    """Names for tests, those that are not `among` marked slow: at most settings that take other paths, by default."""
    return [name if name in among else pytest.param(name, marks=SLOW) for name in names]


TRAINED = {name: model for name, model in CASES.items() if model.traits.trains}
EVERY = CASES | REFERENCES


@dataclasses.dataclass
class Programs:
    """A model with small data, parameters without a 0, and its functions, compiled once for all tests."""

    model: object
    data: object
    side: object
    params: object
    batch: object
    loss: object  # (params, side, batch) -> ((sum, (weight, metrics)), gradients)
    scores: object  # (params, side) -> f32[U, I]


def with_all(data):
    return worlds.with_attributes(worlds.with_likes(worlds.with_frames(data)))


@functools.cache
def programs(name) -> Programs:
    model, data = EVERY[name], with_all(worlds.small(4, 4))
    side = on_device(model.prepare(data))
    params = worlds.random_params(model, side, std=0.3)

    def loss(params, side, batch):
        (total, weight), metrics = model.loss(params, side, batch, 5)
        return total, (weight, metrics)

    def scores(params, side):
        every = jnp.broadcast_to(jnp.arange(data.num_items), (data.num_users, data.num_items))
        return model.score(model.encode(params, side), jnp.arange(data.num_users), every)

    batch = worlds.random_batch(data, model.negatives) if model.traits.trains else None
    return Programs(model, data, side, params, batch, jax.jit(jax.value_and_grad(loss, has_aux=True)), jax.jit(scores))


def assert_close(ours, theirs, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), ours, theirs)


def must_add_up(ours, theirs):
    """Close, array by array: what is left of a sum of large numbers (CDL's reach 1e8) is as exact as they are."""
    for a, b in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        largest = float(np.abs(b).max(initial=0.0))
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=max(1e-5, 1e-8 * largest))


@pytest.mark.parametrize("name", quick(TRAINED))
def test_rows_of_weight_zero_change_nothing(name):
    of = programs(name)
    other = worlds.random_batch(of.data, of.model.negatives, seed=9)
    padding = of.batch.weight == 0
    assert padding.any()
    put = lambda mine, others: np.where(padding.reshape(-1, *[1] * (mine.ndim - 1)), others, mine)  # noqa: E731
    filled = of.batch.replace(
        **{field: put(getattr(of.batch, field), getattr(other, field)) for field in ("users", "items", "negatives")}
    )
    assert (filled.negatives != of.batch.negatives).any()
    assert_close(of.loss(of.params, of.side, filled), of.loss(of.params, of.side, of.batch), rtol=0)
    silent = of.batch.replace(weight=np.zeros_like(of.batch.weight))
    assert_close(of.loss(of.params, of.side, silent), jax.tree.map(jnp.zeros_like, of.loss(of.params, of.side, silent)))


@pytest.mark.parametrize("name", quick(TRAINED))
def test_a_batch_is_the_sum_of_its_rows_in_any_order(name):
    """So rows do not see each other, and sums over devices are exact."""
    of = programs(name)
    whole = of.loss(of.params, of.side, of.batch)
    weights = np.diag(of.batch.weight)
    alone = [of.loss(of.params, of.side, of.batch.replace(weight=weight)) for weight in weights]
    must_add_up(jax.tree.map(lambda *parts: sum(parts), *alone), whole)
    order = np.random.default_rng(3).permutation(12)
    turned = jax.tree.map(lambda leaf: leaf[order], of.batch)
    must_add_up(of.loss(of.params, of.side, turned), whole)


@pytest.mark.parametrize("name", quick(EVERY))
def test_the_order_of_pairs_and_links_in_the_files_changes_nothing(name):
    of = programs(name)
    side = on_device(of.model.prepare(worlds.reordered(of.data)))
    assert_close(of.scores(of.params, side), of.scores(of.params, of.side), rtol=0)
    if of.model.traits.trains:
        assert_close(of.loss(of.params, side, of.batch), of.loss(of.params, of.side, of.batch), rtol=0)


@pytest.mark.parametrize("name", EVERY)
def test_held_out_pairs_change_nothing_that_a_model_is_given(name):
    """Graphs, histories, similarities, tables of frames, attributes and owners, and what negatives are drawn from."""
    of = programs(name)
    assert len(of.data.validation) and len(of.data.test) and len(of.data.frame_likes)
    side, pairs = of.model.prepare(of.data), resident(of.data)
    for how, other in worlds.held_out_otherwise(of.data).items():
        worlds.assert_same_leaves(of.model.prepare(other), side, how)
        worlds.assert_same_leaves(resident(other), pairs, how)


def flat(tree) -> np.ndarray:
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def moved(tree, direction: np.ndarray):
    """The tree plus a flat direction."""
    leaves, structure = jax.tree.flatten(tree)
    parts = np.split(direction, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return structure.unflatten([np.float32(leaf + part.reshape(leaf.shape)) for leaf, part in zip(leaves, parts)])


@pytest.mark.parametrize("name", quick(TRAINED))
def test_gradients_are_finite_and_agree_with_differences(name):
    """Along the gradient, and turned away from it at random; no parameter is without a gradient."""
    of = programs(name)
    loss = lambda params: of.loss(params, of.side, of.batch)[0][0].astype(float)  # noqa: E731
    _, gradients = of.loss(of.params, of.side, of.batch)
    assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in jax.tree.leaves(gradients))
    gradient, step = flat(gradients), 5e-3
    size = float(np.linalg.norm(gradient))
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=len(gradient))
        along = gradient / size + seed * noise / np.linalg.norm(noise)
        along *= step / np.linalg.norm(along)
        difference = float(loss(moved(of.params, along)) - loss(moved(of.params, -along)))
        assert difference == pytest.approx(2 * float(gradient @ along), rel=0.02, abs=0.01 * size * step)


@pytest.mark.parametrize("name", quick(EVERY))
def test_isolated_users_and_untrained_items_get_finite_scores(name):
    of = programs(name)
    scores = np.asarray(of.scores(of.params, of.side))
    assert scores.shape == (of.data.num_users, of.data.num_items) and np.isfinite(scores).all()


@pytest.mark.parametrize("name", quick(name for name, kind in EVERY.items() if type(kind).vectors is not Model.vectors))
def test_scores_are_those_of_the_vectors(name):
    of = programs(name)
    state = jax.jit(of.model.encode)(of.params, of.side)
    users, items, bias = (np.asarray(v, np.float64) for v in of.model.vectors(state))
    assert (len(users), len(items), len(bias)) == (of.data.num_users, of.data.num_items, of.data.num_items)
    np.testing.assert_allclose(of.scores(of.params, of.side), users @ items.T + bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [*MODELS, *REFERENCES])
def test_it_scores_the_same_without_jit_and_from_numpy_arrays(name):
    """As a run that was loaded from its checkpoint does."""
    of = programs(name)
    state = of.model.encode(of.params, of.model.prepare(of.data))
    users, items = np.array([0, 5, 8]), np.array([[0, 6], [3, 3], [1, 2]])
    expected = np.take_along_axis(np.asarray(of.scores(of.params, of.side))[users], items, axis=1)
    np.testing.assert_allclose(of.model.score(state, users, items), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", quick(EVERY))
def test_it_keeps_what_its_traits_promise(name):
    of = programs(name)
    scores = np.asarray(of.scores(of.params, of.side))
    assert of.model.traits.personal == bool((scores != scores[:1]).any())
    if of.model.traits.trains:
        assert name_of(of.model) in MODELS and jax.tree.leaves(of.params)
    else:
        assert not jax.tree.leaves(of.params)
        with pytest.raises(NotImplementedError, match=type(of.model).__name__):
            of.model.loss(of.params, of.side, None, 0)


ABILITIES = {"new_users": "new_user", "ranks_frames": "frame_scores", "samples_frames": "truncated"}


def having(trait):
    return [name for name in (*MODELS, *REFERENCES) if getattr(EVERY[name].traits, trait)]


@pytest.mark.parametrize("trait", ABILITIES)
@pytest.mark.parametrize("name", [*MODELS, *REFERENCES])
def test_a_model_declares_the_abilities_that_it_has(name, trait):
    model, method = EVERY[name], ABILITIES[trait]
    assert getattr(model.traits, trait) == (getattr(type(model), method) is not getattr(Model, method))
    if not getattr(model.traits, trait):
        arguments = [None] * {"new_user": 4, "frame_scores": 4, "truncated": 1}[method]
        with pytest.raises(NotImplementedError, match=type(model).__name__):
            getattr(model, method)(*arguments)


@pytest.mark.parametrize("name", having("new_users"))
def test_a_new_user_gets_a_vector_that_can_be_held_against_the_items(name):
    of = programs(name)
    state = of.model.encode(of.params, of.side)
    items, friends, nobody = np.array([1, 4]), np.array([0, 3]), np.zeros(0, np.int64)
    for taken, known in ((items, nobody), (nobody, nobody), (items, friends), (nobody, friends)):
        if "links" in of.model.traits.needs or not len(known):
            vector = of.model.new_user(state, of.side, taken, known)
            assert vector.dtype == np.float32 and np.isfinite(vector).all()
            assert vector.shape == of.model.vectors(state)[1].shape[1:]


@pytest.mark.parametrize("name", having("ranks_frames"))
def test_frames_are_ranked_by_finite_scores_that_differ_between_users(name):
    model, data = EVERY[name], dataclasses.replace(with_all(worlds.small(4, 4)), item_features=None)
    side = model.prepare(data)
    state = model.encode(worlds.random_params(model, side, std=0.3), side)
    frames = np.broadcast_to(np.arange(len(data.frames), dtype=np.int32), (2, len(data.frames)))
    scores = np.asarray(model.frame_scores(state, side, np.array([0, 3], np.int32), frames))
    assert scores.shape == frames.shape and np.isfinite(scores).all() and (scores[0] != scores[1]).any()
    if model.traits.samples_frames:
        assert 0 <= model.truncated(side) < 1
    for number in (1, 3, 5, 9, len(data.frames)):  # one user's, compiled: the same digits
        plain = np.asarray(model.frame_scores(state, side, np.array([3], np.int32), frames[:1, -number:]))[0]
        np.testing.assert_array_equal(liking_of(model, state, side, 3, frames[0, -number:]), plain)


BY_ROWS = {"bpr", "fm", "vbpr", "deepstyle"}  # without anything to be drawn; by the names of MODELS


@pytest.mark.parametrize("name", quick(TRAINED))
def test_rows_that_a_batch_touches_have_the_loss_and_the_gradient_of_whole_tables(name):
    """As they are, or with fan-outs above every degree."""
    of = programs(name)
    drawn, largest = of.side, len(of.data.train)
    if name_of(of.model) not in BY_ROWS:
        with contextlib.suppress(ValueError):  # no graph
            drawn = on_device(sampled(of.side, (largest,) * getattr(of.model, "depth", 1)))
    try:
        touched = of.model.touched(drawn, of.batch, 5)
    except ValueError as error:
        assert "sampl" in str(error) or "friends" in str(error)
        return
    assert touched is not None or name_of(of.model) not in BY_ROWS
    if touched is None:
        return
    params = on_device(of.params)
    (total, (weight, metrics)), gradients = of.loss(of.params, of.side, of.batch)
    again = of.loss(by_rows.taken(params, touched.rows), touched.side, touched.batch)
    assert_close(again[0], (total, (weight, metrics)), rtol=1e-5)
    added = {
        path: jnp.zeros_like(by_rows.at(params, path)).at[numbers].add(by_rows.at(again[1], path), mode="drop")
        for path, numbers in touched.rows.items()
    }
    must_add_up(by_rows.placed(again[1], added), gradients)


@pytest.mark.parametrize("name", quick(TRAINED))
def test_the_loss_has_every_metric_that_is_watched(name):
    of = programs(name)
    loss = lambda params, side, batch: of.model.loss(params, side, batch, 5)[1]  # noqa: E731
    metrics = jax.eval_shape(loss, of.params, of.side, of.batch)
    assert metrics.keys() == {"objective", *of.model.traits.watched}


KNOWN_NODES = {"user", "item", "frame", "attribute"}  # records find what they are called in the data


@pytest.mark.parametrize("name", [name for name in (*MODELS, *REFERENCES) if EVERY[name].traits.additive])
def test_an_additive_explanation_adds_up_to_the_score(name):
    of = programs(name)
    state = jax.jit(of.model.encode)(of.params, of.side)
    users, items = np.array([0, 3, 5, 8], np.int32), np.array([1, 1, 4, 6], np.int32)
    told = of.model.explain(state, of.side, users, items)
    expected = np.asarray(of.scores(of.params, of.side))[users, items]
    np.testing.assert_allclose(told.score, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sum(told.parts.values()), expected, rtol=1e-5, atol=1e-5)
    for rows in told.elements.values():
        figures, kind = {"weight": rows.weight, "contribution": rows.contribution, **rows.columns}, rows.kind
        assert len(rows.offsets) == len(users) + 1 and all(len(of) == rows.offsets[-1] for of in figures.values())
        assert rows.ids.shape == (rows.offsets[-1], *([len(kind.nodes)] if len(kind.nodes) > 1 else []))
        assert set(kind.nodes) <= KNOWN_NODES or (kind.names and rows.ids.max(initial=0) < len(kind.names))
        assert set(kind.words) <= set(figures) and kind.ranked_by in ("", *figures)


NEEDY = [name for name, model in EVERY.items() if model.traits.needs]


@pytest.mark.parametrize("name", NEEDY)
def test_data_without_what_a_model_needs_is_refused_by_name(name):
    model, data = EVERY[name], with_all(worlds.small(4, 4))
    for need in model.traits.needs:
        with pytest.raises(ValueError, match=f"{type(model).__name__} needs {need}.*'small'"):
            model.prepare(dataclasses.replace(data, **{"frames": None, need: None}))  # frames are images too


@pytest.mark.parametrize("name", quick(name for name in EVERY if name not in NEEDY))
def test_data_without_links_and_features_is_enough_for_the_others(name):
    EVERY[name].prepare(worlds.small(links=False))


def trained(model, data, steps, batch_size=128, learning_rate=0.03, seed=0):
    """Scores f32[U, I] after a short ordinary training."""
    optimizer = make_optimizer("adam", learning_rate)
    side = model.prepare(data)
    runner = make_runner("jit", model, optimizer, side, resident(data), batch_size, devices=jax.devices()[:1])
    state = runner.run(runner.place(new_state(model, side, optimizer, seed)), steps)
    every = jnp.broadcast_to(jnp.arange(data.num_items), (data.num_users, data.num_items))
    scores = jax.jit(lambda params, side: model.score(model.encode(params, side), jnp.arange(data.num_users), every))
    return np.asarray(scores(state.params, runner.side))


@pytest.mark.parametrize("name", quick(TRAINED, among=("bpr", "lightgcn", "diffnet", "hasc", "jifr", "saers")))
def test_it_learns_the_checkerboard_exactly(name):
    """Every held-out item of a user's parity stands above every item of the other: NDCG and AUC are 1."""
    data = planted.checkerboard(40, 30, seed=2, links=3)
    rng = np.random.default_rng(0)
    data = dataclasses.replace(
        data,
        user_features=rng.normal(size=(40, 4)).astype(np.float32),
        item_features=rng.normal(size=(30, 4)).astype(np.float32),
        owners=rng.integers(-1, 40, size=30).astype(np.int32),
    )
    data = with_all(data)
    model = dataclasses.replace(TRAINED[name], negatives=4)  # with one, some seeds leave an item a little out of place
    if isinstance(model, JIFR):  # its frames are noise here, and its own l2, made for thousands of items, lets them in
        model = dataclasses.replace(model, l2=0.02, visual_l2=0.02)
    if isinstance(model, SAERS):  # as are its attributes, and an item has nothing of its own unless asked for
        model = dataclasses.replace(model, free_items=True, l2=0.02, feature_l2=0.02)
    scores = trained(model, data, steps=300, learning_rate=0.01)
    for user in range(40):
        held = np.concatenate([part.item[part.user == user] for part in (data.validation, data.test)])
        assert len(held) == 2
        assert scores[user, held].min() > scores[user, 1 - user % 2 :: 2].max(), f"user {user}"


def ndcg10(scores, data, users):
    """Mean NDCG@10 of test items among all that the user did not take in training."""
    values = []
    for user in users:
        wanted = data.test.item[data.test.user == user]
        line = scores[user].copy()
        line[data.train.item[data.train.user == user]] = -np.inf
        hits = np.isin(np.argsort(-line)[:10], wanted)
        discount = 1 / np.log2(np.arange(10) + 2)
        values.append((hits * discount).sum() / discount[: len(wanted)].sum())
    return np.mean(values)


@functools.cache
def for_silent_users(kind) -> float:
    """NDCG@10 of those with at most two interactions, in a world where friends share topics."""
    world = planted.influence(0, num_users=600, num_items=400, num_topics=8)
    world = dataclasses.replace(world, data=dataclasses.replace(world.data, owners=np.full(400, -1, np.int32)))
    silent = np.intersect1d(np.flatnonzero(world.silent), world.data.test.user)
    return ndcg10(trained(kind(dim=16, negatives=4, l2=0.01), world.data, 200, 512, 0.03), world.data, silent)


@pytest.mark.parametrize(
    "name",
    quick((n for n, kind in MODELS.items() if "links" in kind.traits.needs), among=("diffnet", "social_mf", "soreg")),
)
def test_models_with_links_serve_silent_users_better_than_bpr_does(name):
    assert for_silent_users(MODELS[name]) > 1.3 * for_silent_users(BPR)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_on_one_user_one_item_one_interaction_and_no_link_is_finite(name):
    model, data = MODELS[name](), worlds.dataset(1, 1, [(0, 0)], [], owners=[0])
    if "item_features" in model.traits.needs:
        data = dataclasses.replace(data, item_features=np.ones((1, 2), np.float32))
    data = with_all(data)

    @jax.jit
    def step(side, batch):
        params = model.init(jax.random.key(0), side)
        gradients = jax.grad(lambda params: model.loss(params, side, batch, 5)[0][0])(params)
        params = jax.tree.map(lambda p, g: p - 0.03 * g, params, gradients)
        return params, model.score(model.encode(params, side), jnp.array([0]), jnp.array([[0]]))

    params, scores = step(on_device(model.prepare(data)), worlds.random_batch(data, model.negatives))
    assert scores.shape == (1, 1) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((params, scores)))


def test_training_where_nothing_is_left_to_draw_ends():
    """The only item is a training item, and a negative is drawn all the same."""
    scores = trained(BPR(), worlds.dataset(1, 1, [(0, 0)], []), steps=3, batch_size=8)
    assert scores.shape == (1, 1) and np.isfinite(scores).all()
