"""Tables, optimiser state and edges that are spread over devices: the same training, and no device has a whole one."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.compiled_step import collectives, given_bytes, largest_made
from socialjax.eval import protocol, ranking
from socialjax.models import BPR, FM, VBPR, DiffNet, DiffNetPP, LightGCN, SocialLightGCN
from socialjax.train.loop import train
from socialjax.train.parallel import make_runner
from socialjax.train.step import TrainSettings, make_optimizer, new_state, resident
from socialjax.worlds import planted

STEPS, BATCH = 8, 32
# Smaller starts make gradients that almost cancel, and what divides by their size makes rounding visible.
COMMON = {"dim": 8, "init_std": 0.1, "negatives": 2}
MODELS = {
    "bpr": BPR(**COMMON, dropout=0.2),
    "fm": FM(**COMMON),
    "vbpr": VBPR(**COMMON, visual_dim=4),
    "lightgcn": LightGCN(**COMMON, depth=2),
    "lightgcn, dropout": LightGCN(**COMMON, depth=1, node_dropout=0.3),
    "social_lightgcn": SocialLightGCN(**COMMON, depth=2),
    "diffnet": DiffNet(**COMMON),
    "diffnet, paper": DiffNet(**COMMON, variant="paper", exclude_target=True),
    "diffnet_pp": DiffNetPP(**COMMON),
}
CASES = [
    ("bpr", "adagrad_rows"),
    ("vbpr", "adam_rows"),
    ("fm", "sgd"),
    ("bpr", "adam"),
    ("lightgcn", "adam"),
    ("lightgcn, dropout", "sgd"),
    ("social_lightgcn", "sgd"),
    ("diffnet", "adam"),
    ("diffnet, paper", "sgd"),
    ("diffnet_pp", "sgd"),
]
QUICK = [(2, 2), (8, 4)]  # devices, table shards
ALL = [(count, shards) for count in (1, 2, 4, 8) for shards in (1, 2, 4) if shards <= count]
PLACES = [pytest.param(place, marks=() if place in QUICK else pytest.mark.slow, id=str(place)) for place in ALL]


@pytest.fixture(scope="module")
def odd():
    """A world whose users and items no number of shards divides, with features of both."""
    world = planted.checkerboard(num_users=51, num_items=37, links=3)
    draw = np.random.default_rng(0)
    return dataclasses.replace(
        world,
        user_features=draw.normal(size=(51, 3)).astype(np.float32),
        item_features=draw.normal(size=(37, 3)).astype(np.float32),
    )


def runner_and_state(world, model, optimizer, count=1, shards=1):
    rule = make_optimizer(optimizer, 0.5 if optimizer == "sgd" else 0.02)
    side = model.prepare(world)
    runner = make_runner(
        "jit", model, rule, side, resident(world), BATCH, devices=jax.devices()[:count], table_shards=shards
    )
    return runner, runner.place(new_state(model, side, rule, 3))


@pytest.fixture(scope="module")
def trained(odd):
    """trained(name, optimiser, devices, table shards) -> parameters and sums after some steps."""

    @functools.cache
    def one(name, optimizer, count, shards):
        runner, state = runner_and_state(odd, MODELS[name], optimizer, count, shards)
        for until in (1, 5, STEPS):
            state = runner.run(state, until)
        return jax.tree.map(np.asarray, runner.whole((state.params, state.sums)))

    return one


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name, optimizer", CASES, ids=str)
def test_parameters_are_those_of_one_device(trained, name, optimizer, place):
    found, wanted = trained(name, optimizer, *place), trained(name, optimizer, 1, 1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, wanted)


def test_trainings_move_every_table(trained, odd):
    """Else the comparisons above would compare starting points."""
    for name, optimizer in CASES:
        _, state = runner_and_state(odd, MODELS[name], optimizer)
        params, _ = trained(name, optimizer, 1, 1)
        for before, after in zip(jax.tree.leaves(state.params), jax.tree.leaves(params)):
            if after.ndim == 2 and len(after) in (odd.num_users, odd.num_items):
                assert np.abs(np.asarray(before) - after).max() > 1e-3, name


@pytest.fixture(scope="module")
def program():
    """program(name, optimiser, devices, table shards) -> the text of the compiled steps, and sizes of its tables."""
    world = planted.checkerboard(num_users=1003, num_items=601, links=8)

    @functools.cache
    def one(name, optimizer, count, shards):
        runner, state = runner_and_state(world, MODELS[name], optimizer, count, shards)
        return runner._run.lower(state, runner.side, runner.resident, jnp.int32(1)).compile().as_text()

    return one


WHOLE_TABLE = 601 * 8 * 4  # bytes of the smaller one


def held(text, *beginnings):
    return sum(size for name, size in given_bytes(text).items() if name.startswith(beginnings))


@pytest.mark.parametrize(
    "name, optimizer",
    [("bpr", "adagrad_rows"), ("bpr", "adam_rows"), ("bpr", "adam"), ("lightgcn", "adam"), ("diffnet", "adam")],
)
def test_tables_state_and_pairs_on_a_device_fall_as_the_shards(program, name, optimizer):
    whole = program(name, optimizer, 1, 1)
    for count, shards in ((2, 2), (8, 2), (4, 4), (8, 4)):
        text = program(name, optimizer, count, shards)
        for part in ("state.params", "state.opt_state", "resident"):
            ratio = held(text, part) / held(whole, part) * shards
            assert 0.99 < ratio < 1.03, (part, count, shards, ratio)


@pytest.mark.parametrize("name", ["lightgcn", "diffnet"])
def test_edges_on_a_device_fall_as_the_devices(program, name):
    at_one = held(program(name, "adam", 1, 1), "side")
    spread = {place: held(program(name, "adam", *place), "side") for place in ((2, 1), (4, 1), (8, 1), (4, 4), (8, 4))}
    for (count, shards), size in spread.items():
        assert size < 0.75 * at_one / count + 8 * 1003, "two lists of 12 bytes an edge, and what a node has"
        assert size < 1.2 * spread[2, 1] * 2 / count + 8 * 1003, (count, shards)


@pytest.mark.parametrize(
    "name, optimizer",
    [
        ("bpr", "adagrad_rows"),
        ("bpr", "adam_rows"),
        ("vbpr", "sgd"),
        ("bpr", "adam"),
        ("lightgcn", "adam"),
        ("social_lightgcn", "adam"),
        ("diffnet", "adam"),
    ],
)
def test_no_step_makes_an_array_as_large_as_a_table(program, name, optimizer):
    assert largest_made(program(name, optimizer, 1, 1)) >= WHOLE_TABLE, "the text of one device shows them"
    for place in ((4, 4), (8, 4)):
        text = program(name, optimizer, *place)
        assert largest_made(text) < WHOLE_TABLE
        assert max(one.size for one in collectives(text)) < WHOLE_TABLE


def test_a_step_by_rows_sends_rows_of_the_batch_alone(program):
    """By hand, for BPR by row-wise Adagrad: 32 pairs with 2 negatives on 2 x 4 devices, D = 8."""
    sent = {}
    for one in collectives(program("bpr", "adagrad_rows", 8, 4)):
        sent[one.kind, one.devices] = sent.get((one.kind, one.devices), 0) + one.sent
    rows = 32 * (1 + 3)  # a user and three items of each pair
    looked_up = rows * 8 * 4 + 32 * 3 * 4  # their vectors and the items' biases
    pairs = 2 * 32 * 4 + 32 * 2 * 4  # user, item and two negatives of each pair, found where these are
    assert sent["reduce-scatter", 4] == (looked_up + pairs) // 2 * 3 // 4
    # Which users, items and pairs are wanted, and the rows of the batch that draw negatives.
    assert sent["all-gather", 4] == 4 * (32 + 32 * 3 + 32 + 32) // 2 * 3 // 4
    assert sent["all-gather", 8] == (looked_up + 4 * (32 + 32 * 3)) * 7 // 8  # gradients, and of which rows
    assert sent["all-reduce", 8] == 2 * 12 * 7 // 8


@pytest.mark.parametrize("name, optimizer", [("bpr", "adagrad_rows"), ("diffnet, paper", "sgd")])
def test_a_training_goes_on_with_other_devices_and_shards(odd, tmp_path, name, optimizer):
    model, pairs = MODELS[name], resident(odd)
    side = model.prepare(odd)

    def run(folder, places):
        for place, (count, shards) in enumerate(places):
            settings = TrainSettings(
                epochs=3, batch_size=BATCH, optimizer=optimizer, learning_rate=0.02, table_shards=shards, quiet=True
            )
            last = place + 1 if place + 1 < len(places) else None
            devices = jax.devices()[:count]
            done = train(model, side, pairs, settings, 0, folder, "print", stop_after=last, devices=devices)
        return jax.tree.map(np.asarray, done.params)

    unbroken = run(tmp_path / "one", [(1, 1)])
    broken = run(tmp_path / "many", [(4, 4), (4, 2), (1, 1)])
    back = run(tmp_path / "back", [(1, 1), (8, 4), (2, 2)])
    for found in (broken, back):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, unbroken)


@pytest.mark.parametrize("name, optimizer", [("bpr", "adam_rows"), ("diffnet", "adam")])
def test_a_fresh_state_is_made_where_it_stays(odd, name, optimizer):
    runner, placed = runner_and_state(odd, MODELS[name], optimizer, 8, 4)
    side = MODELS[name].prepare(odd)
    fresh = runner.fresh(side, 3, None, side)
    assert jax.tree.map(lambda leaf: leaf.sharding, fresh) == jax.tree.map(lambda leaf: leaf.sharding, placed)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), fresh, placed)


@pytest.mark.parametrize("name", ["bpr", "lightgcn"])
def test_schedules_clipping_averages_and_parts_are_those_of_one_device(odd, tmp_path, name):
    model = MODELS[name]
    side, candidates = model.prepare(odd), protocol.candidates(odd, protocol.parse("full", ks=(10,)), "validation")

    def run(folder, count, shards):
        recipe = {"schedule": "cosine", "warmup": 2, "clip": 0.05, "ema": 0.8, "accumulate": 2}
        settings = TrainSettings(
            epochs=3, batch_size=BATCH, optimizer="sgd", learning_rate=0.5, table_shards=shards, quiet=True, **recipe
        )
        validate = ranking.MeanMetrics(model, side, candidates)
        return train(
            model, side, resident(odd), settings, 0, folder, "print", validate=validate, devices=jax.devices()[:count]
        )

    alone, spread = run(tmp_path / "one", 1, 1), run(tmp_path / "many", 8, 4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), spread.params, alone.params)
    assert spread.epoch == alone.epoch


def test_parts_of_a_batch_are_those_of_what_each_device_has(odd, tmp_path):
    """Each of 8 devices with 4 shards has 4 of 32 pairs, which 8 parts do not divide."""
    model = MODELS["bpr"]
    settings = TrainSettings(epochs=1, batch_size=BATCH, table_shards=4, accumulate=8, quiet=True)
    with pytest.raises(ValueError, match="must divide the 4 pairs of a batch that a device has, got 8"):
        train(model, model.prepare(odd), resident(odd), settings, 0, tmp_path, "print", devices=jax.devices()[:8])
