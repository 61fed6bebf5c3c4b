"""Both stages learn planted parts of pictures, a stopped training ends as an unbroken one, wrong input is named."""

import signal

import jax
import numpy as np
import pytest

from socialjax.stop import Interrupted
from socialjax.train.checkpoint import CheckpointError
from socialjax.train.loop import Diverged
from socialjax.vision.labelled.photos import Resident
from socialjax.vision.sen import SEN, SmallCNN
from socialjax.vision.training import (
    AttributeTraining,
    accuracy_of,
    predicted,
    train_attributes,
)

NETWORK = SEN((2, 3), backbone=SmallCNN((8, 8), (2, 1)), hidden=8, dropout=0.1, region_dim=8)
SETTINGS = AttributeTraining(epochs=4, region_epochs=3, learning_rate=1e-2, backbone_rate=1e-2, quiet=True)


def pictures(count=480, seed=0):
    """Dark u8[N, 16, 16, 3] with a green or red square somewhere, and a bar, blue, magenta or cyan; a third of the
    labels is missing."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 40, (count, 16, 16, 3)).astype(np.uint8)
    labels = np.stack([rng.integers(0, 2, count), rng.integers(0, 3, count)], axis=1)
    for picture, (square, bar) in zip(found, labels):
        y, x = rng.integers(0, 5, 2)
        picture[y : y + 3, x : x + 3, square] = 255
        y, x = rng.integers(8, 14), rng.integers(0, 8)
        picture[y : y + 2, x : x + 8, [(2,), (2, 0), (2, 1)][bar]] = 255
    return found, np.where(rng.random(labels.shape) < 1 / 3, -1, labels).astype(np.int16)


@pytest.fixture(scope="module")
def variables():
    """Of the network's shapes, but drawn by NumPy: compiling the network's own draws takes longer than training."""
    rng = np.random.default_rng(2)
    shapes = jax.eval_shape(NETWORK.init, jax.random.key(0), pictures(1)[0])
    deviation = lambda shape: np.sqrt(1 / np.prod(shape[:-1])) if len(shape) > 1 else 0.0  # noqa: E731
    return jax.tree.map(lambda of: (deviation(of.shape) * rng.normal(size=of.shape)).astype(of.dtype), shapes)


def trained(variables, folder, settings=SETTINGS, fingerprint="ours", batches=None, network=NETWORK):
    batches = batches or Resident(*pictures(), batch_size=16)
    return train_attributes(network, variables, batches, pictures(60, 1), settings, 0, folder, fingerprint)


@pytest.fixture(scope="module")
def whole(variables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return trained(variables, folder), folder


def test_both_stages_learn_what_is_in_the_pictures(whole):
    found, _ = whole
    held_out, labels = pictures(100, 2)
    for stage in ("classes", "regions"):
        reached = accuracy_of(predicted(NETWORK, found.variables, held_out, stage, batch=60), labels)
        assert (reached > [0.95, 0.9]).all(), (stage, reached)  # chance 0.5 and 0.33
    assert found.epoch["classes"] <= 4 and found.epoch["regions"] <= 3 and found.seconds > 0


class StopsIn(Resident):
    """Asks the process to stop while it gives batches of an epoch."""

    def __init__(self, epoch):
        super().__init__(*pictures(), batch_size=16)
        self.stops_in = epoch

    def epoch(self, number):
        if number == self.stops_in:
            signal.raise_signal(signal.SIGTERM)
        yield from super().epoch(number)


@pytest.mark.parametrize("epoch", [2, 5])  # of the first stage, and of the second
def test_what_was_stopped_ends_as_what_was_not(variables, whole, tmp_path, epoch):
    with pytest.raises(Interrupted):
        trained(variables, tmp_path, batches=StopsIn(epoch))
    again = trained(variables, tmp_path)
    jax.tree.map(np.testing.assert_array_equal, again.variables, whole[0].variables)
    assert again.epoch == whole[0].epoch
    lines = [(folder / "metrics.jsonl").read_text() for folder in (tmp_path, whole[1])]
    assert lines[0] == lines[1] and len(lines[0].splitlines()) == 7


def test_a_finished_training_is_read_and_not_repeated(variables, whole):
    class Refuses(Resident):
        def epoch(self, number):
            raise AssertionError("trained again")

    again = trained(variables, whole[1], batches=Refuses(*pictures(), batch_size=16))
    jax.tree.map(np.testing.assert_array_equal, again.variables, whole[0].variables)
    with pytest.raises(CheckpointError, match="other settings"):
        trained(variables, whole[1], fingerprint="another")


@pytest.fixture
def compiled_quickly():
    """For what runs briefly and promises no bits."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def test_a_frozen_backbone_stays_and_cached_maps_give_the_same(variables, tmp_path, compiled_quickly):
    settings = AttributeTraining(epochs=2, region_epochs=1, learning_rate=1e-2, quiet=True)
    by_pictures = trained(variables, tmp_path / "pictures", settings)
    jax.tree.map(
        np.testing.assert_array_equal, by_pictures.variables["params"]["backbone"], variables["params"]["backbone"]
    )
    heads = NETWORK.clone(backbone=None)
    see = jax.jit(lambda pictures: NETWORK.apply(variables, pictures, method="see"))
    (some, labels), (held_out, wanted) = pictures(), pictures(60, 1)
    alone = {"params": {name: value for name, value in variables["params"].items() if name != "backbone"}}
    by_maps = train_attributes(
        heads, alone, Resident(np.asarray(see(some)), labels, 16), (np.asarray(see(held_out)), wanted), settings, 0,
        tmp_path / "maps", "maps",
    )  # fmt: skip
    assert by_maps.epoch == by_pictures.epoch
    for stage, reached in by_maps.accuracy.items():
        np.testing.assert_allclose(reached, by_pictures.accuracy[stage], atol=0.05)


def test_a_loss_that_is_not_finite_stops_with_a_word(variables, tmp_path):
    broken = jax.tree.map(lambda leaf: leaf * np.nan, variables)
    with pytest.raises(Diverged, match="lower the learning rate"):
        trained(broken, tmp_path)


@pytest.mark.parametrize(
    "labels, said",
    [
        (np.zeros((60, 3), int), "a column for each attribute"),
        (np.full((60, 2), 3), "below"),
        (np.full((60, 2), -1), "got none"),
    ],
)
def test_labels_that_do_not_fit_are_refused(variables, tmp_path, labels, said):
    batches, validation = Resident(*pictures(), 16), (pictures(60, 1)[0], labels)
    with pytest.raises(ValueError, match=said):
        train_attributes(NETWORK, variables, batches, validation, SETTINGS, 0, tmp_path, "x")


def test_accuracy_counts_labels_that_are_there():
    found, labels = np.array([[0, 1, 2], [1, 1, 2], [0, 0, 0]]), np.array([[0, 0, -1], [0, 1, -1], [-1, 0, -1]])
    np.testing.assert_allclose(accuracy_of(found, labels), [1 / 2, 2 / 3, np.nan])
