"""Keys come out in order, each once, whatever memory holds; row numbers and the k-core equal those in memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socialjax.data import split
from socialjax.data.large import external_sort
from socialjax.data.large.external_sort import Sorter, pack, unpack
from socialjax.data.large.numbering import Rows, k_core
from socialjax.data.schema import interactions


@given(
    keys=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 20), max_size=300),
    capacity=st.integers(1, 90),
    piece=st.integers(1, 70),
)
@settings(deadline=None, max_examples=60)
def test_keys_come_in_order_and_once(tmp_path_factory, keys, capacity, piece):
    folder = tmp_path_factory.mktemp("runs") / "runs"
    sorter = Sorter(folder, capacity)
    for begin in range(0, len(keys), piece):
        sorter.add(np.array(keys[begin : begin + piece], np.uint64))
    pieces = list(sorter.merged())
    assert [int(key) for piece in pieces for key in piece] == sorted(set(keys))
    assert sorter.added == len(keys) and not folder.exists()


@pytest.mark.parametrize("spread", ["even", "one value", "two heaps", "sorted"])
def test_no_range_is_larger_than_the_buffer(tmp_path, spread, monkeypatch):
    monkeypatch.setattr(external_sort, "PIECE", 1 << 30)  # ranges come out whole
    rng, n, capacity = np.random.default_rng(0), 50_000, 4096
    keys = {
        "even": rng.integers(0, 2**63, n),
        "one value": np.full(n, 7),
        "two heaps": np.where(rng.random(n) < 0.9, rng.integers(0, 30_000, n), rng.integers(0, 2**62, n)),
        "sorted": np.arange(n),
    }[spread].astype(np.uint64)
    sorter = Sorter(tmp_path / "runs", capacity)
    sorter.add(keys)
    pieces = list(sorter.merged())
    np.testing.assert_array_equal(np.concatenate(pieces), np.unique(keys))
    assert max(map(len, pieces)) <= capacity


@pytest.mark.parametrize("spread", ["random", "rising", "falling", "few values"])
def test_the_peak_of_memory_is_that_of_the_buffer(tmp_path, spread, monkeypatch):
    monkeypatch.setattr(external_sort, "PIECE", 1 << 12)
    n, capacity = 1_000_000, 400_000
    keys = np.random.default_rng(0).integers(0, 2**62, n).astype(np.uint64)
    keys = {"random": keys, "rising": np.sort(keys), "falling": np.sort(keys)[::-1], "few values": keys % 1000}[spread]
    tracemalloc.start()
    sorter = Sorter(tmp_path / "runs", capacity)
    for piece in np.array_split(keys, 100):
        sorter.add(piece)
    taken = sum(map(len, sorter.merged()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken == len(set(keys.tolist())) and peak <= 1.2 * 8 * capacity


def test_samples_are_of_a_run_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(external_sort, "SAMPLES", 9)
    monkeypatch.setattr(external_sort, "PIECE", 10)
    keys = np.random.default_rng(1).integers(0, 900, 2000).astype(np.uint64)
    sorter = Sorter(tmp_path / "runs", 200)
    sorter.add(keys)
    np.testing.assert_array_equal(np.concatenate(list(sorter.merged())), np.unique(keys))


def test_packed_columns_are_ordered_by_left_then_right():
    left, right = np.array([2, 0, 2**31 - 1]), np.array([5, 2**32 - 1, 0])
    for column, back in zip((left, right), unpack(pack(left, right))):
        np.testing.assert_array_equal(column, back)
    assert pack(np.array([1]), np.array([0])) > pack(np.array([0]), np.array([2**32 - 1]))


@pytest.mark.parametrize("ids", [[0, 1, 2], [3, 5, 6, 11], [4, 10**15, 2**62], []])
def test_rows_of_ids_and_of_none(ids):
    rows = Rows(np.array(ids, np.int64))
    asked = np.array([*ids, 2, 7, 10**16, 2**63 - 1])
    assert rows.of(asked).tolist() == [ids.index(each) if each in ids else -1 for each in asked.tolist()]
    assert rows.are_row_numbers == (ids == [0, 1, 2])


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_core_is_that_in_memory(k):
    rng = np.random.default_rng(k)
    keys = np.unique(pack(rng.zipf(1.3, 400) % 60, rng.zipf(1.3, 400) % 40))
    user, item = unpack(keys)
    core = split.k_core(interactions(user, item), k)
    users, items, kept = k_core(lambda: iter(np.array_split(keys, 7)), 60, 40, k)
    assert kept == len(core) and 0 < kept < len(keys) + (k == 1)
    np.testing.assert_array_equal(user[users[user] & items[item]], core.user)
    assert set(np.flatnonzero(users)) >= set(core.user) and set(np.flatnonzero(items)) >= set(core.item)
