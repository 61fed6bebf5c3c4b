"""Steps that change only the rows of a batch: their gradient is the whole tables', their updates those by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from socialjax.models import BPR, MODELS, DiffNet, LightGCN, SocialLightGCN, SVDpp
from socialjax.ops.forest import sampled
from socialjax.train import rows
from socialjax.train.loop import train
from socialjax.train.parallel import make_runner
from socialjax.train.step import TrainSettings, make_batch, make_optimizer, make_step, new_state, on_device

SIZE = 32
PLAIN = {"bpr": BPR(dim=4, negatives=3, dropout=0.2, init_std=0.1)}
GRAPHS = {
    "svdpp": SVDpp(dim=4, negatives=2, init_std=0.1),
    "svdpp tied, mean": SVDpp(dim=4, tied=True, exponent=1.0, exclude_target=False, init_std=0.1),
    "svdpp mean without the target": SVDpp(dim=4, exponent=1.0, init_std=0.1),
    "lightgcn": LightGCN(dim=4, depth=2, negatives=2, init_std=0.1),
    "lightgcn 3": LightGCN(dim=4, depth=3, item_bias=False, init_std=0.1),
    "social_lightgcn": SocialLightGCN(dim=4, depth=2, social_weight=0.7, init_std=0.1),
    "diffnet": DiffNet(dim=4, depth=2, negatives=3, init_std=0.1, exclude_target=True),
    "diffnet paper": DiffNet(dim=4, depth=2, variant="paper", layer_l2=0.01, init_std=0.1),
    "diffnet 0": DiffNet(dim=4, depth=0, layers="all", init_std=0.1),
}


def batch_of(pairs, model, step=3):
    return make_batch(
        on_device(pairs), jnp.uint32(5), jnp.int32(step), jnp.arange(SIZE, dtype=jnp.uint32), SIZE, model.negatives
    )


def whole_and_by_rows(model, side, drawn, pairs, rng=7, step=3):
    """Loss and gradients of all parameters: as they are, and of the rows, added up where they belong."""
    params, batch = new_state(model, side, make_optimizer("adam", 0.1), seed=1).params, batch_of(pairs, model, step)
    rng = jnp.uint32(rng)
    loss = lambda params, side, batch: model.loss(params, side, batch, rng)[0][0]  # noqa: E731
    whole = jax.jit(jax.value_and_grad(loss))(params, side, batch)

    @jax.jit
    def by_rows(params, drawn, batch):
        touched = model.touched(drawn, batch, rng)
        value, gradients = jax.value_and_grad(loss)(rows.taken(params, touched.rows), touched.side, touched.batch)
        tables = {
            path: jnp.zeros_like(rows.at(params, path)).at[numbers].add(rows.at(gradients, path), mode="drop")
            for path, numbers in touched.rows.items()
        }
        return value, rows.placed(gradients, tables)

    return whole, by_rows(params, drawn, batch)


def largest_degree(world):
    ends = world.train.user, world.train.item, np.concatenate([world.links.follower, world.links.followee])
    return max(np.bincount(end).max() for end in ends)


def close(found, expected, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), found, expected)


@pytest.mark.parametrize("name", PLAIN)
def test_the_gradient_of_rows_is_that_of_whole_tables(world, pairs, name):
    side = PLAIN[name].prepare(world)
    whole, found = whole_and_by_rows(PLAIN[name], side, side, pairs)
    close(found, whole, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", GRAPHS)
def test_fanouts_above_every_degree_give_the_gradient_of_the_whole_graph(world, pairs, name):
    model = GRAPHS[name]
    side = model.prepare(world)
    whole, found = whole_and_by_rows(model, side, sampled(side, [largest_degree(world)] * 3), pairs)
    close(found, whole, rtol=2e-5, atol=5e-6)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(found[1])) > 0.01


@pytest.mark.parametrize("name", ["lightgcn", "diffnet", "svdpp"])
def test_layers_of_drawn_neighbours_are_those_of_all_in_the_mean(world, pairs, name):
    """Over 4,000 draws of 2 neighbours, for every user and item of a batch."""
    model = dataclasses.replace(GRAPHS[name], **({"exclude_target": False} if name != "lightgcn" else {}))
    side = on_device(model.prepare(world))
    drawn, batch = on_device(sampled(side, [2, 2])), batch_of(pairs, model)
    params = new_state(model, side, make_optimizer("adam", 0.1), seed=1).params
    state = model.training_state(params, side, jnp.uint32(0))
    expected = np.asarray(state.users[batch.users]), np.asarray(state.items[batch.items])

    @jax.jit
    def of(rng):
        touched = model.touched(drawn, batch, rng)
        state = model.training_state(rows.taken(params, touched.rows), touched.side, rng)
        return touched.batch.of_users(state.users), touched.batch.of_items(state.items)

    draws = jax.lax.map(of, jnp.arange(4000, dtype=jnp.uint32), batch_size=100)
    for values, mean in zip(draws, expected):
        values = np.asarray(values, np.float64)
        error = values.std(axis=0) / np.sqrt(len(values))
        assert np.all(np.abs(values.mean(axis=0) - mean) <= 5 * error + 1e-6)
    assert np.asarray(draws[0]).std(axis=0).max() > 1e-3  # they do differ from draw to draw


def adagrad_by_hand(table, accumulators, numbers, gradients, rate):
    for row, gradient in zip(numbers, gradients):
        accumulators[row] += np.mean(gradient**2)
    for row, gradient in zip(numbers, gradients):
        table[row] -= rate / np.sqrt(accumulators[row]) * gradient


def test_row_wise_adagrad_by_hand_with_a_row_that_comes_twice_and_with_padding():
    draw = np.random.default_rng(0)
    table, numbers = draw.normal(size=(5, 3)), np.array([1, 4, 1, 5])
    optimizer = make_optimizer("adagrad_rows", 0.1)
    found, state = jnp.asarray(table, jnp.float32), optimizer.start(jnp.asarray(table, jnp.float32))
    expected, accumulators = table.copy(), np.full(5, rows.FIRST)
    for _ in range(3):
        gradients = draw.normal(size=(4, 3))
        found, state = optimizer.change(found, state, jnp.asarray(numbers), jnp.asarray(gradients, jnp.float32), 1.0)
        adagrad_by_hand(expected, accumulators, numbers[:3], gradients[:3], 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(state, accumulators, rtol=1e-5)
    assert np.array_equal(np.asarray(found)[[0, 2, 3]], np.float32(table[[0, 2, 3]]))


def steps(model, side, pairs, name, count=6, size=SIZE, drawn=None, start=None):
    optimizer = make_optimizer(name, 0.05) if isinstance(name, str) else name
    runner = make_runner("jit", model, optimizer, drawn or side, pairs, size, devices=jax.devices()[:1])
    state = new_state(model, side, optimizer, 1, drawn=drawn)
    return runner.run(runner.place(state), count).params


def test_sgd_by_rows_is_dense_sgd(world, pairs):
    model = PLAIN["bpr"]
    side = model.prepare(world)
    found = steps(model, side, pairs, "sgd")
    dense = optax.sgd(0.05)
    state = new_state(model, side, dense, 1)
    step = jax.jit(make_step(model, dense))
    for number in range(6):
        batch = make_batch(on_device(pairs), state.seed, jnp.int32(number), jnp.arange(SIZE, dtype=jnp.uint32), SIZE, 3)
        state = step(state, side, batch)
    close(found, state.params, rtol=1e-5, atol=1e-6)


def test_lazy_adam_is_adam_where_each_step_reads_every_row(world, pairs):
    """A batch of the whole epoch, eight times over in negatives: every user and item is among its rows."""
    model = dataclasses.replace(PLAIN["bpr"], negatives=64, dropout=0.0)
    size = len(pairs.users)
    side = model.prepare(world)
    batch = make_batch(on_device(pairs), jnp.uint32(1), jnp.int32(0), jnp.arange(size, dtype=jnp.uint32), size, 64)
    assert len(np.unique(batch.negatives)) == world.num_items and len(np.unique(batch.users)) == world.num_users
    lazy, dense = (steps(model, side, pairs, name, 5, size) for name in ("adam_rows", "adam"))
    apart = np.concatenate([np.abs(a - b).ravel() for a, b in zip(jax.tree.leaves(lazy), jax.tree.leaves(dense))])
    assert np.mean(apart < 1e-5) > 0.99 and apart.max() < 1e-3  # Adam makes steps of rounding where a gradient is 0


def test_lazy_adam_leaves_rows_that_are_not_read_as_they_are_and_adam_does_not(world, pairs):
    model = dataclasses.replace(PLAIN["bpr"], negatives=1)
    side = model.prepare(world)
    ends = {name: [steps(model, side, pairs, name, n, 8)["users"] for n in (1, 2)] for name in ("adam", "adam_rows")}
    batch = make_batch(on_device(pairs), jnp.uint32(1), jnp.int32(1), jnp.arange(8, dtype=jnp.uint32), 8, 1)
    others = np.setdiff1d(np.arange(world.num_users), np.asarray(batch.users))
    moved = {name: np.abs(np.asarray(b - a)[others]).max() for name, (a, b) in ends.items()}
    assert moved["adam_rows"] == 0 and moved["adam"] > 1e-3


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad_rows", "adam_rows"])
@pytest.mark.parametrize(
    "backend, count, mesh", [("jit", 8, {}), ("pmap", 4, {}), ("jit", 4, {"table_shards": 2})], ids=str
)
def test_devices_change_nothing(world, pairs, optimizer, backend, count, mesh):
    for model, fanouts in ((PLAIN["bpr"], None), (GRAPHS["diffnet"], [3, 2])):
        side = model.prepare(world)
        drawn = side if fanouts is None else sampled(side, fanouts)
        ends = []
        for kind, number, more in (("jit", 1, {}), (backend, count, mesh)):
            rule = make_optimizer(optimizer, 0.02)
            runner = make_runner(kind, model, rule, drawn, pairs, SIZE, devices=jax.devices()[:number], **more)
            state = runner.run(runner.place(new_state(model, side, rule, 3, drawn=drawn)), 10)
            ends.append(jax.tree.map(np.asarray, runner.whole((state.params, state.sums))))
        close(ends[1], ends[0], rtol=2e-5, atol=2e-5)


def test_a_sampled_training_learns_and_resumes_to_the_bit(world, pairs, tmp_path):
    model = dataclasses.replace(GRAPHS["lightgcn"], l2=0.0)
    side = model.prepare(world)
    settings = TrainSettings(
        epochs=10, batch_size=SIZE, optimizer="adagrad_rows", learning_rate=0.1, fanouts=(3, 2), patience=0, quiet=True
    )
    devices = {"devices": jax.devices()[:1]}
    unbroken = train(model, side, pairs, settings, 0, tmp_path / "a", "print", **devices)
    train(model, side, pairs, settings, 0, tmp_path / "b", "print", stop_after=3, **devices)
    resumed = train(model, side, pairs, settings, 0, tmp_path / "b", "print", **devices)
    jax.tree.map(np.testing.assert_array_equal, unbroken.params, resumed.params)
    losses = [
        float(line.split('"loss": ')[1].split(",")[0])
        for line in (tmp_path / "a/metrics.jsonl").read_text().splitlines()
        if '"loss"' in line
    ]
    assert losses[-1] < 0.2 < np.log(2)  # where it starts: the checkerboard is learned


@pytest.mark.parametrize("name", ["adagrad_rows", "adam_rows"])
def test_a_model_that_reads_every_row_refuses_them(world, pairs, name):
    model = GRAPHS["lightgcn"]
    with pytest.raises(ValueError, match="LightGCN reads every row in each step"):
        new_state(model, model.prepare(world), make_optimizer(name, 0.1), 0)


def test_what_cannot_be_sampled_is_refused(world):
    side = PLAIN["bpr"].prepare(world)
    with pytest.raises(ValueError, match="has no graph"):
        sampled(side, [3])
    with pytest.raises(ValueError, match="must be at least 1, got 3 0"):
        TrainSettings(fanouts=(3, 0))
    for model, word in (
        (LightGCN(depth=3), "needs a number for each layer of the model, at least 3, got 2 2"),
        (SocialLightGCN(contrast=0.1), "contrast"),
        (DiffNet(pooling="max"), "the maximum over some friends"),
    ):
        whole = model.prepare(world)
        with pytest.raises(ValueError, match=word):
            new_state(model, whole, make_optimizer("sgd", 0.1), 0, drawn=sampled(whole, [2, 2]))


@pytest.mark.parametrize("name", ["gcmc", "pinsage", "lr_gccf", "diffnet_pp", "trust_svd"])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad_rows"])
def test_a_graph_model_that_cannot_be_sampled_is_refused_before_the_first_step(world, pairs, tmp_path, name, optimizer):
    model = MODELS[name]()
    settings = TrainSettings(epochs=1, batch_size=SIZE, optimizer=optimizer, fanouts=(2, 2), quiet=True)
    with pytest.raises(ValueError, match=f"{type(model).__name__} does not say how its neighbourhoods are drawn"):
        train(model, model.prepare(world), pairs, settings, 0, tmp_path, "print")


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adagrad"])
def test_an_optimizer_of_whole_tables_is_refused_with_drawn_neighbours(world, pairs, tmp_path, optimizer):
    model = GRAPHS["diffnet"]
    settings = TrainSettings(epochs=1, batch_size=SIZE, optimizer=optimizer, fanouts=(2, 2), quiet=True)
    with pytest.raises(ValueError, match="choose sgd, adagrad_rows or adam_rows"):
        train(model, model.prepare(world), pairs, settings, 0, tmp_path, "print")


@dataclasses.dataclass(frozen=True)
class Shifted(BPR):
    """Scores by the mean of all items beside the user's own vector: every row of the table is read."""

    def encode(self, params, side):
        state = super().encode(params, side)
        return state.replace(users=state.users + jnp.mean(state.items, axis=0, keepdims=True))


def test_a_subclass_that_computes_something_else_does_not_inherit_which_rows_are_read(world, pairs):
    model = Shifted(dim=4, init_std=0.1, negatives=3)
    side = model.prepare(world)
    with pytest.raises(ValueError, match="Shifted reads every row"):
        new_state(model, side, make_optimizer("adagrad_rows", 0.1), 0)
    found, whole = (steps(model, side, pairs, rule) for rule in ("sgd", optax.sgd(0.05)))
    close(found, whole, rtol=1e-5, atol=1e-7)
    by_rows = steps(PLAIN["bpr"], side, pairs, "sgd")
    assert np.abs(found["items"] - by_rows["items"]).max() > 1e-4


def test_a_subclass_that_only_has_other_settings_inherits_them(world):
    @dataclasses.dataclass(frozen=True)
    class Wide(BPR):
        dim: int = 128

    assert rows.read_rows(Wide(), Wide().prepare(world)) == [("item_bias",), ("items",), ("users",)]
