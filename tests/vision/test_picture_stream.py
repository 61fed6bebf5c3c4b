"""Streams of pictures: each picture once an epoch, the same pixels however they are read, errors that name the file."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from socialjax.data.errors import DataError
from socialjax.data.schema import Provenance
from socialjax.vision.labelled.label_tables import LabelledPictures
from socialjax.vision.labelled.picture_stream import Augment, evaluation_batches, training_batches

N, SIZE = 20, 16


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twenty pictures in files; the first sixteen train."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for row in range(N):
        Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(folder / f"{row}.png")
    return LabelledPictures(
        name="noise",
        names=("hem",),
        classes=(tuple(map(str, range(N))),),
        labels=np.arange(N, dtype=np.int16)[:, None],
        part=np.repeat(np.array([0, 1, 2], np.uint8), [16, 2, 2]),
        ids=np.arange(N).astype(str),
        provenance=Provenance("planted", "noise"),
        folder=str(folder),
        files=np.array([f"{row}.png" for row in range(N)]),
    )


def pixels_of(pictures, row):
    return np.asarray(Image.open(f"{pictures.folder}/{row}.png"))


def test_every_training_picture_comes_once_an_epoch_in_another_order(pictures):
    batches = list(training_batches(pictures, SIZE, 4, epochs=2, augment=None))
    assert len(batches) == 8 and batches[0]["pixels"].shape == (4, SIZE, SIZE, 3)
    rows = np.concatenate([batch["row"] for batch in batches])
    assert sorted(rows[:16]) == sorted(rows[16:]) == list(range(16)) and rows[:16].tolist() != rows[16:].tolist()
    for batch in batches:
        np.testing.assert_array_equal(batch["labels"][:, 0], batch["row"])
        for row, pixels in zip(batch["row"], batch["pixels"]):
            np.testing.assert_array_equal(pixels, pixels_of(pictures, row))


def test_the_same_seed_gives_the_same_pixels_on_any_number_of_threads(pictures):
    one, again, other = (
        np.stack([b["pixels"] for b in training_batches(pictures, SIZE, 4, epochs=2, seed=seed, threads=threads)])
        for seed, threads in ((1, 1), (1, 4), (2, 1))
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_two_processes_together_see_what_one_sees(pictures):
    whole = list(training_batches(pictures, SIZE, 4, epochs=1, seed=3))
    halves = [list(training_batches(pictures, SIZE, 4, epochs=1, seed=3, process=p, processes=2)) for p in (0, 1)]
    for batch, left, right in zip(whole, *halves, strict=True):
        for name in ("row", "pixels", "labels"):
            np.testing.assert_array_equal(batch[name][0::2], left[name])
            np.testing.assert_array_equal(batch[name][1::2], right[name])


def test_going_on_from_a_state_equals_not_stopping(pictures):
    stream = training_batches(pictures, SIZE, 4, seed=4)
    unbroken = iter(stream)
    wanted = [next(unbroken)["pixels"] for _ in range(7)]
    stopped = iter(stream)
    for _ in range(3):
        next(stopped)
    resumed = iter(training_batches(pictures, SIZE, 4, seed=4))
    resumed.set_state(stopped.get_state())
    np.testing.assert_array_equal(np.stack([next(resumed)["pixels"] for _ in range(4)]), np.stack(wanted[3:]))


def test_augmentation_changes_pictures_and_another_epoch_changes_them_otherwise(pictures):
    batches = list(training_batches(pictures, SIZE, 16, epochs=2, seed=5))
    first, second = (dict(zip(batch["row"].tolist(), batch["pixels"])) for batch in batches)
    for row in range(16):
        assert (first[row] != pixels_of(pictures, row)).any() and (first[row] != second[row]).any()


def test_each_augmentation_does_what_it_says():
    left_red = np.zeros((SIZE, SIZE, 3), np.uint8)
    left_red[:, : SIZE // 2, 0] = 200
    rng = np.random.default_rng(6)
    np.testing.assert_array_equal(Augment(1, 1, 0)(left_red, rng), left_red[:, ::-1])
    np.testing.assert_array_equal(Augment(0, 1, 0)(left_red, rng), left_red)
    edges = []
    for _ in range(50):
        cut = Augment(0, 0.5, 0)(left_red, rng)
        edges.append((cut[SIZE // 2, :, 0] > 100).sum())
        assert (cut[..., 1:] == 0).all()
    assert min(edges) < SIZE // 2 - 2 and max(edges) > SIZE // 2 + 2  # the middle moves both ways
    grey = np.full((SIZE, SIZE, 3), 100, np.uint8)
    shades = [int(Augment(0, 1, 0.2)(grey, rng)[0, 0, 0]) for _ in range(50)]
    assert min(shades) < 90 and max(shades) > 110 and 79 <= min(shades) and max(shades) <= 120


def test_evaluation_keeps_order_and_pads_the_last_batch(pictures):
    batches = list(evaluation_batches(pictures, np.array([19, 3, 7]), SIZE, 2))
    assert np.concatenate([batch["row"] for batch in batches]).tolist() == [19, 3, 7, -1]
    assert np.concatenate([batch["weight"] for batch in batches]).tolist() == [1, 1, 1, 0]
    np.testing.assert_array_equal(batches[1]["pixels"][0], pixels_of(pictures, 7))


def test_pictures_in_memory_are_resized_as_files_are(pictures):
    pixels = np.stack([pixels_of(pictures, row) for row in range(N)])
    held = dataclasses.replace(pictures, pixels=pixels, files=None, folder=None)
    for size in (SIZE, 8):
        one, other = (next(iter(evaluation_batches(given, [4, 5], size, 2))) for given in (pictures, held))
        np.testing.assert_array_equal(one["pixels"], other["pixels"])


def test_a_broken_or_missing_picture_stops_the_stream_with_its_name(pictures, tmp_path):
    (tmp_path / "0.png").write_bytes((Path(pictures.folder) / "0.png").read_bytes()[:200])
    broken = dataclasses.replace(pictures, folder=str(tmp_path))
    with pytest.raises(DataError, match=r"0\.png: wanted a whole picture"):
        list(evaluation_batches(broken, [0], SIZE, 1))
    with pytest.raises(DataError, match=r"wanted the picture '1\.png'"):
        list(evaluation_batches(broken, [1], SIZE, 1))


def test_settings_that_cannot_be_meant_are_refused(pictures):
    with pytest.raises(ValueError, match="3 processes share evenly"):
        training_batches(pictures, SIZE, 4, processes=3)
    with pytest.raises(ValueError, match="got a batch of 64 and 16 pictures of train in 1 epochs"):
        training_batches(pictures, SIZE, 64, epochs=1)
    with pytest.raises(ValueError, match="crop above 0"):
        Augment(crop=0)
