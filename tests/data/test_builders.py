"""The prepared form: every column comes back as it was, changed files are prepared anew, trouble is stated."""

import dataclasses
import logging
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from socialjax.data import builder, cache, records
from socialjax.data.schema import (
    Attributes,
    Dataset,
    FrameLikes,
    Frames,
    Interactions,
    Links,
    Provenance,
    interactions,
    no_interactions,
)
from socialjax.data.sets import PUBLISHED


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))


def full(rows=50, name="full"):
    """A set with every column there can be."""
    rng = np.random.default_rng(rows)
    part = lambda n: interactions(  # noqa: E731
        rng.integers(9, size=n), rng.integers(7, size=n), rng.random(n), rng.integers(2**40, size=n)
    )
    return Dataset(
        name=name,
        num_users=9,
        num_items=7,
        train=part(rows),
        validation=part(3),
        test=part(4),
        provenance=Provenance("real", "a folder", "mine", {"a.links": "ab", "b.rating": "cd"}, ("one mended", "é")),
        links=Links(*rng.integers(9, size=(2, 20)).astype(np.int32)),
        user_features=rng.normal(size=(9, 5)).astype(np.float32),
        item_features=rng.normal(size=(7, 3)).astype(np.float32),
        owners=rng.integers(-1, 9, size=7).astype(np.int32),
        social_features=rng.normal(size=(9, 2)).astype(np.float32),
        user_names=np.array([f"user {k}" for k in range(9)]),
        item_names=np.array(["a", "", "c\td", "日本", "e", "f", "g" * 100]),
        item_titles=np.array(["Ä", "b", "", "d", "e", "f", "g"], object),
        frames=Frames(
            np.array([0, 2, 2, 3, 4, 5, 6, 6]),
            rng.normal(size=(6, 4)).astype(np.float16),
            np.array([f"é/{k}.png" for k in range(6)]),
        ),
        frame_likes=FrameLikes(*np.array([[8, 0], [0, 2], [1, 2]], np.int32)),
        attributes=Attributes(
            ("neckline", "Ärmel"),
            (("V", "round", "none"), ("long",)),
            rng.normal(size=(7, 2, 6)).astype(np.float32),
            rng.random((7, 2)) < 0.5,
            rng.integers(-1, 1, size=(7, 2)).astype(np.int16),
            rng.random((7, 2)).astype(np.float32),
            rng.random((7, 2, 4)).astype(np.float32),
            rng.random((7, 2)) < 0.5,
        ),
        item_groups=np.array(["top", "shoe", "", "top", "top", "shoe", "top"]),
        item_pictures=np.array([f"é/{k}.jpg" for k in range(7)]),
    )


def bare():
    """A set with no more than it must have, and two empty parts."""
    return Dataset("bare", 3, 2, interactions([0, 2], [1, 0]), no_interactions(), no_interactions(),
                   Provenance("planted", "made"))  # fmt: skip


def assert_same(a, b):
    """Every field of both is equal, in type, shape and value."""
    for field in dataclasses.fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, Interactions | Links | Frames | FrameLikes | Attributes):
            assert_same(left, right)
        elif isinstance(left, np.ndarray):
            assert left.dtype == right.dtype, field.name
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right, field.name


@pytest.mark.parametrize("make", [full, bare])
def test_every_column_comes_back_as_it_was(make, tmp_path):
    data = make()
    folder = Path(builder.ColumnsBuilder(dataset=data, data_dir=tmp_path).prepare())
    assert_same(data, builder.read(folder))
    assert_same(data, records.read(folder))


def test_texts_come_back_letter_by_letter(tmp_path):
    titles = np.array(["", "Caf\u00e9 \U0001f600", "ends in nothing\0", "x" * 10_000], object)
    data = dataclasses.replace(bare(), num_items=4, item_titles=titles)
    records.write(tmp_path, data)
    assert_same(data, records.read(tmp_path))


def test_a_prepared_set_is_read_without_tfds(tmp_path):
    cache.prepared("full", "k", full)
    code = (
        "import sys; from socialjax.data import cache; print(cache.prepared('full', 'k', None).name); "
        "print('tensorflow_datasets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [full().name, "False"]


@pytest.mark.parametrize("name", [records.COLUMNS, records.DESCRIBED])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"PK\x05\x06" + bytes(18)])
def test_columns_that_are_none_are_put_aside_though_their_checksums_are_right(name, content, caplog):
    cache.prepared("full", "k", full)
    folder = cache.cache_folder() / "prepared" / "full" / "k"
    (folder / name).write_bytes(content)
    sealed_again(folder)
    assert_same(cache.prepared("full", "k", full), full())
    assert "is damaged and is prepared anew" in caplog.text


def test_an_empty_column_is_not_an_absent_one(tmp_path):
    data = dataclasses.replace(bare(), links=Links(*np.zeros((2, 0), np.int32)))
    data = dataclasses.replace(data, test=interactions([], [], [], None))
    assert_same(data, builder.read(builder.ColumnsBuilder(dataset=data, data_dir=tmp_path).prepare()))


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_sets_round_trip(name, real_data, tmp_path):
    data = PUBLISHED[name].read(real_data / name, 0)
    made = builder.ColumnsBuilder(dataset=data, data_dir=tmp_path)
    assert_same(data, builder.read(made.prepare()))
    assert made.name == name


def test_nothing_is_printed_and_nothing_of_the_screen_is_changed(tmp_path, capfd):
    with_log = logging.getLogger("absl").level
    builder.read(builder.ColumnsBuilder(dataset=full(), data_dir=tmp_path).prepare())
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("absl").level == with_log


def test_a_set_is_made_once_and_then_read():
    assert_same(cache.prepared("full", "k1", full), full())
    assert_same(cache.prepared("full", "k1", lambda: pytest.fail("made again")), full())
    assert_same(cache.prepared("full", "k2", bare), bare())
    assert sorted(path.name for path in (cache.cache_folder() / "prepared" / "full").iterdir()) == ["k1", "k2"]


def test_a_large_set_is_read_in_milliseconds():
    data = full(300_000)
    cache.prepared("full", "k", lambda: data)
    began = time.monotonic()
    cache.prepared("full", "k", full)
    assert time.monotonic() - began < 1.0  # 0.05 s on a quiet core


def test_the_key_depends_on_files_and_settings(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    sums = cache.file_checksums([tmp_path / "a"])
    assert sums == {"a": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"}
    keys = {cache.key_of("x", files=sums, options={"k": 1}), cache.key_of("x", files=sums, options={"k": 2})}
    (tmp_path / "a").write_bytes(b"two")
    keys.add(cache.key_of("x", files=cache.file_checksums([tmp_path / "a"]), options={"k": 1}))
    assert len(keys) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "delete", "metadata"])
def test_a_damaged_set_is_prepared_anew_with_a_warning(damage, caplog):
    cache.prepared("full", "k", full)
    folder = cache.cache_folder() / "prepared" / "full" / "k"
    (record,) = folder.glob("*-train.array_record*")
    if damage == "delete":
        record.unlink()
    elif damage == "metadata":
        (folder / "metadata.json").write_text("{")
    else:
        record.write_bytes(record.read_bytes()[: 100 if damage == "cut" else 0])
    assert_same(cache.prepared("full", "k", full), full())
    assert "is damaged and is prepared anew" in caplog.text
    assert_same(cache.prepared("full", "k", lambda: pytest.fail("not kept")), full())


def test_a_set_that_the_system_does_not_let_us_read_stays_as_it_is(caplog):
    """No file may be opened any more: the set may be good, and is left where it is."""
    cache.prepared("full", "k", full)
    expected, limits = full(), resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        found = cache.prepared("full", "k", lambda: expected)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert found is expected
    assert "cannot be read" in caplog.text and "stays as it is" in caplog.text and "damaged" not in caplog.text
    assert_same(cache.prepared("full", "k", lambda: pytest.fail("not kept")), expected)


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "file"))
    assert_same(cache.prepared("full", "k", full), full())
    assert "set SOCIALJAX_CACHE to a folder with room" in caplog.text


FULL_DISK = """
import logging, resource, sys
logging.basicConfig(level=logging.WARNING)
sys.path.insert(0, {tests!r})
from test_builders import full
from socialjax.data import cache
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
data = cache.prepared("full", "k", lambda: full(300_000))
print(len(data.train))
"""


def test_a_full_disk_is_a_warning_and_leaves_nothing_half_written(tmp_path):
    code = FULL_DISK.format(tests=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.strip() == "300000", done.stderr
    assert "the raw files are read each time" in done.stderr
    assert list((cache.cache_folder() / "prepared" / "full").iterdir()) == []


def test_without_tfds_the_raw_loader_feeds_the_same_columns(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # an import then fails as if it were not installed
    monkeypatch.delitem(sys.modules, "socialjax.data.builder")
    monkeypatch.delattr("socialjax.data.builder")
    assert_same(cache.prepared("full", "k", full), full())
    assert not cache.cache_folder().exists()


def test_tfds_is_not_imported_before_it_is_used():
    code = "import sys, socialjax.data.sources; print('tensorflow_datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def _prepare(barrier, results):
    barrier.wait()
    results.put(len(cache.prepared("full", "k", lambda: full(100_000)).train))


def test_two_processes_may_prepare_the_same_set():
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.SimpleQueue()
    both = [context.Process(target=_prepare, args=(barrier, results)) for _ in range(2)]
    for process in both:
        process.start()
    assert [results.get(), results.get()] == [100_000, 100_000]
    for process in both:
        process.join()
    assert [path.name for path in (cache.cache_folder() / "prepared" / "full").iterdir()] == ["k"]
    assert_same(cache.prepared("full", "k", lambda: pytest.fail("not kept")), full(100_000))


def sealed_again(folder):
    """As one who knows the form would leave the folder: with right checksums."""
    (folder / records.SUMS).unlink()
    records.seal(folder)


def test_no_file_can_name_a_class(tmp_path, monkeypatch):
    """TFDS imports the module of any class that features.json names."""
    folder = Path(builder.ColumnsBuilder(dataset=full(), data_dir=tmp_path).prepare())
    (tmp_path / "hostile_notes.py").write_text("raise SystemExit('code of the folder ran')")
    monkeypatch.syspath_prepend(tmp_path)
    path = folder / "features.json"
    honest = path.read_text()
    tensor = "tensorflow_datasets.core.features.tensor_feature.Tensor"
    for old, new in (
        (f'"{tensor}"', '"hostile_notes.X"'),
        (f'"{tensor}"', '"tensorflow_datasets.core.features.image_feature.Image"'),
        ("features_dict.FeaturesDict", "hostile_notes.X"),
        ('"dtype": "int32"', '"dtype": "object"'),
        ('"tensor": {', '"more": 1, "tensor": {'),
        ('"featuresDict": {', '"type": "hostile_notes.X", "content": {}, "featuresDict": {'),
        ('"featuresDict": {', '"sequence": {'),
        ("{", "["),
    ):
        assert old in honest
        path.write_text(honest.replace(old, new, 1))
        with pytest.raises(records.DamagedError, match=r"features\.json"):
            builder.read(folder)  # the checksum differs
        sealed_again(folder)
        with pytest.raises(ValueError):
            builder.read(folder)
        assert "hostile_notes" not in sys.modules
    path.write_text(honest)
    sealed_again(folder)
    assert_same(full(), builder.read(folder))


@pytest.mark.parametrize("how", ["swapped", "extra", "link", "unsealed"])
def test_a_folder_with_other_files_than_were_written_is_put_aside(how, caplog):
    cache.prepared("full", "k", full)
    folder = cache.cache_folder() / "prepared" / "full" / "k"
    train, test = (next(folder.glob(f"*-{part}.array_record*")) for part in ("train", "test"))
    if how == "swapped":
        content = train.read_bytes()
        train.write_bytes(test.read_bytes())
        test.write_bytes(content)
    elif how == "extra":
        (folder / "more").write_text("")
    elif how == "link":
        test.unlink()
        test.symlink_to(train)
    else:
        (folder / records.SUMS).unlink()
    assert_same(cache.prepared("full", "k", full), full())
    assert (
        len(caplog.records) == 1 and "is damaged and is prepared anew; what was there is in .damaged-k" in caplog.text
    )
    assert (folder.parent / ".damaged-k").is_dir()
    assert_same(cache.prepared("full", "k", lambda: pytest.fail("not kept")), full())


def test_what_was_made_of_other_files_is_not_taken(caplog):
    """A prepared folder that somebody has moved to another key."""
    files = {"a": "0"}
    of = lambda sha: dataclasses.replace(full(), provenance=Provenance("real", "a folder", files={"a": sha}))  # noqa: E731
    cache.prepared("full", "k", lambda: of("1"))
    assert cache.prepared("full", "k", lambda: of("0"), files).provenance.files == files
    assert "made of other files than its name says" in caplog.text
    with pytest.raises(cache.ChangedError):
        cache.prepared("full", "k2", lambda: of("1"), files)
    assert not (cache.cache_folder() / "prepared" / "full" / "k2").exists()
