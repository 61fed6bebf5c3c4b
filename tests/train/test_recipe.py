"""Schedules, warm-up, clipping, averages and parts of a batch against the same by hand, and resumed to the bit."""

import dataclasses
import math
import os
import signal

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.models import BPR, LightGCN
from socialjax.ops import sample
from socialjax.stop import Interrupted
from socialjax.train import log, loop
from socialjax.train.checkpoint import read_best
from socialjax.train.loop import train
from socialjax.train.recipe import Recipe, averaging, optimizer_of, schedule
from socialjax.train.step import METRIC, TrainSettings, make_batch, make_optimizer, new_state, on_device
from socialjax.train.step import steps_per_epoch as steps_of

pytestmark = pytest.mark.usefixtures("compiled_as_for_users")  # what is promised here is bits
MODEL, RATE, SEED, BATCH = BPR(dim=3, init_std=0.3, l2=0.1, dropout=0.25), 0.05, 3, 128
SETTINGS = TrainSettings(
    epochs=3, batch_size=BATCH, optimizer="sgd", learning_rate=RATE, patience=0, save_seconds=0, quiet=True
)
EACH = {
    "linear": {"schedule": "linear"},
    "cosine, warm-up": {"schedule": "cosine", "warmup": 4},
    "clip": {"clip": 0.05},
    "ema": {"ema": 0.8},
    "accumulate": {"accumulate": 4},
    "all": {"schedule": "linear", "warmup": 2, "clip": 0.1, "ema": 0.9, "accumulate": 2, "optimizer": "adam"},
}


@pytest.fixture(scope="module")
def begin(world, pairs):
    """begin(folder, **settings) -> Trained."""

    def start(folder, model=MODEL, validate=None, count=1, **changed):
        folder.mkdir(exist_ok=True)
        settings = dataclasses.replace(SETTINGS, **changed)
        side = model.prepare(world)
        devices = jax.devices()[:count]
        return train(model, side, pairs, settings, SEED, folder, "print", validate=validate, devices=devices)

    return start


def factor(name, warmup, steps, t):
    """The formulas of the docstring of `schedule`."""
    if t < warmup:
        return (t + 1) / warmup
    p = (t - warmup) / (steps - warmup)
    return {"constant": 1.0, "linear": 1 - p, "cosine": (1 + math.cos(math.pi * p)) / 2}[name]


@pytest.mark.parametrize("warmup", [0, 1, 7])
@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
def test_the_rate_of_every_step_is_that_of_the_formula(name, warmup):
    made = schedule(name, warmup, 40)
    found = [float(made(jnp.int32(t))) for t in range(40)]
    np.testing.assert_allclose(found, [factor(name, warmup, 40, t) for t in range(40)], atol=1e-6)
    assert min(found) > 0 and max(found) == 1.0


def by_hand(world, pairs, steps, schedule="constant", warmup=0, clip=0.0, ema=0.0, **_):
    """SGD in NumPy along JAX's mean gradients: the parameters after each step, or their averages."""
    side, on = MODEL.prepare(world), on_device(pairs)
    start, back = jax.flatten_util.ravel_pytree(MODEL.init(jax.random.key(SEED), side))
    rows = np.arange(BATCH, dtype=np.uint32)

    @jax.jit
    def mean_gradient(x, t):
        batch = make_batch(on, jnp.uint32(SEED), t, rows, BATCH, MODEL.negatives)
        loss = lambda x: MODEL.loss(back(x), side, batch, sample.fold(jnp.uint32(SEED), t))[0][0]  # noqa: E731
        return jax.grad(loss)(x) / jnp.sum(batch.weight)

    x, average, clipped = np.float64(start), 0.0, 0
    for t in range(steps):
        gradient = np.float64(mean_gradient(np.float32(x), t))
        norm = np.sqrt(np.sum(gradient**2))
        if clip and norm > clip:
            gradient, clipped = gradient * clip / norm, clipped + 1
        x = x - RATE * factor(schedule, warmup, steps, t) * gradient
        average = ema * average + (1 - ema) * x
    return (average / (1 - ema**steps) if ema else x), clipped


@pytest.mark.parametrize("name", [name for name in EACH if name != "all"])
def test_a_training_equals_the_same_by_hand_and_not_the_plain_one(begin, world, pairs, tmp_path, name):
    steps = SETTINGS.epochs * steps_of(len(pairs.users), BATCH)
    expected, clipped = by_hand(world, pairs, steps, **EACH[name])
    found = jax.flatten_util.ravel_pytree(begin(tmp_path, **EACH[name]).params)[0]
    np.testing.assert_allclose(found, expected, atol=2e-6)
    plain, _ = by_hand(world, pairs, steps)
    if name != "accumulate":  # which must not differ
        assert np.abs(plain - expected).max() > 1e-3
    assert (0 < clipped) == (name == "clip")


def test_a_gradient_is_clipped_to_a_known_norm_or_left():
    made = optimizer_of(dataclasses.replace(SETTINGS, clip=1.0, learning_rate=1.0), 10, BATCH)
    params = {"a": jnp.zeros(1), "b": jnp.zeros((1, 1))}
    for gradient, norm in (({"a": [3.0], "b": [[4.0]]}, 1.0), ({"a": [0.3], "b": [[0.4]]}, 0.5)):
        updates, _ = made.update(jax.tree.map(jnp.asarray, gradient), made.init(params), params)
        np.testing.assert_allclose(updates["a"], -0.6 * norm * np.ones(1), rtol=1e-6)
        np.testing.assert_allclose(updates["b"], -0.8 * norm * np.ones((1, 1)), rtol=1e-6)


def test_averages_by_hand():
    made, x = averaging(make_optimizer("sgd", 1.0), 0.5), jnp.array([0.0])
    state = made.init(x)
    for gradient in (-1.0, -2.0, -4.0):
        updates, state = made.update(jnp.array([gradient]), state, x)
        x = x + updates
    # x is 1, 3, 7: 0.5 * 7 + 0.25 * 3 + 0.125 * 1
    np.testing.assert_allclose(state.average, [4.375])
    assert int(state.count) == 3


def test_the_average_is_evaluated_kept_and_returned(begin, tmp_path):
    asked = []

    def validate(params):
        asked.append(jax.tree.map(np.array, params))
        return {METRIC: [0.2, 0.5, 0.1][len(asked) - 1]}

    found = begin(tmp_path / "ema", validate=validate, evaluate_every=1, ema=0.8)
    jax.tree.map(np.testing.assert_array_equal, found.params, asked[1])
    jax.tree.map(np.testing.assert_array_equal, read_best(tmp_path / "ema" / "checkpoints")[0], asked[1])
    plain = begin(tmp_path / "plain", evaluate_every=1, epochs=2)
    assert (
        np.abs(jax.flatten_util.ravel_pytree(plain.params)[0] - jax.flatten_util.ravel_pytree(asked[1])[0]).max() > 1e-3
    )


@pytest.mark.parametrize(
    "model", [MODEL, LightGCN(dim=3, depth=2, init_std=0.3, dropout=0.25)], ids=["bpr", "lightgcn"]
)
@pytest.mark.parametrize("parts", [2, 8])
def test_a_batch_in_parts_is_the_whole_batch_to_1e_6(begin, tmp_path, model, parts):
    whole = begin(tmp_path / "whole", model=model)
    found = begin(tmp_path / "parts", model=model, accumulate=parts)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6, rtol=0), whole.params, found.params)


@pytest.mark.parametrize("count, backend", [(2, "jit"), (2, "pmap")])
def test_on_several_devices_the_figures_are_the_same(begin, tmp_path, count, backend):
    more = EACH["all"] | {"optimizer": "sgd"}
    one, several = begin(tmp_path / "one", **more), begin(tmp_path / "two", count=count, backend=backend, **more)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5), one.params, several.params)


@pytest.mark.parametrize("name", EACH)
def test_a_stopped_training_goes_on_to_the_same_bits(begin, tmp_path, monkeypatch, name):
    whole = begin(tmp_path / "whole", **EACH[name])
    shown = log.TrainingLog.progress

    def progress(self, step, loss):
        shown(self, step, loss)
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(loop, "CALL_SECONDS", 1e-9)
        patch.setattr(log.TrainingLog, "progress", progress)
        begin(tmp_path / "stopped", **EACH[name])
    again = begin(tmp_path / "stopped", **EACH[name])
    jax.tree.map(np.testing.assert_array_equal, whole.params, again.params)
    ends = [read_best(tmp_path / folder / "checkpoints")[1]["arrays"] for folder in ("whole", "stopped")]
    assert ends[0] == ends[1]  # digests of the whole state


def test_without_these_settings_the_optimiser_is_the_plain_one(world):
    made = optimizer_of(SETTINGS, 100, BATCH)
    assert type(made) is type(make_optimizer("sgd", RATE)) and not isinstance(made, Recipe)
    assert isinstance(optimizer_of(dataclasses.replace(SETTINGS, ema=0.5), 100, BATCH), Recipe)
    state = new_state(MODEL, MODEL.prepare(world), make_optimizer("adam", RATE), SEED)
    plain = optimizer_of(dataclasses.replace(SETTINGS, optimizer="adam"), 100, BATCH)
    assert jax.tree.structure(state.opt_state) == jax.tree.structure(plain.init(state.params))


@pytest.mark.parametrize("name", ["adagrad_rows", "adam_rows"])
def test_optimisers_of_rows_are_refused_in_a_sentence(begin, tmp_path, name):
    with pytest.raises(
        ValueError, match=rf"--train.clip, --train.ema change all rows.*--train.optimizer {name} changes"
    ):
        begin(tmp_path, optimizer=name, ema=0.9, clip=1.0)
    with pytest.raises(ValueError, match=r"--train.accumulate change all rows.*--train.fanouts changes"):
        begin(tmp_path, model=LightGCN(dim=3, depth=1), fanouts=(2,), accumulate=2)


def test_settings_out_of_range_are_refused_in_a_sentence(begin, tmp_path):
    for wrong, said in (
        ({"schedule": "step"}, r"--train.schedule must be one of constant, linear, cosine, got 'step'"),
        ({"ema": 1.0}, r"--train.ema must be in \[0, 1\), got 1.0"),
        ({"ema": float("nan")}, r"--train.ema must be in \[0, 1\), got nan"),
        ({"clip": -1.0}, r"--train.clip must not be below 0, got -1.0"),
        ({"warmup": -1}, r"--train.warmup must not be below 0, got -1"),
        ({"accumulate": 0}, r"--train.accumulate must be at least 1, got 0"),
        ({"accumulate": 3}, r"--train.accumulate must divide --train.batch-size 128, got 3"),
    ):
        with pytest.raises(ValueError, match=said):
            dataclasses.replace(SETTINGS, **wrong)
    with pytest.raises(ValueError, match=r"--train.warmup must be below the \d+ steps of this training, got 10000"):
        begin(tmp_path, warmup=10_000)
    with pytest.raises(ValueError, match=r"--train.accumulate must divide the 64 pairs of a batch that a device has"):
        begin(tmp_path, accumulate=128, count=2)
