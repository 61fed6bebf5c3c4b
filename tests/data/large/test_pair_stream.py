"""Batches from shards: every pair once an epoch over any number of processes, a pure function of (seed, step)."""

import json
import os
import re
from collections import Counter

import numpy as np
import pytest

from socialjax.data.large import pair_stream
from socialjax.data.large.inputs import Columns
from socialjax.data.large.pair_order import PairOrder, Window
from socialjax.data.large.pair_shards import open_shards, write_shards, write_training_pairs
from socialjax.data.large.pair_stream import PairStream
from socialjax.data.large.prepare import prepare
from socialjax.formats.file_bytes import DataError

pytest.importorskip("grain")
USERS, ITEMS, N = 300, 200, 3001


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    keys = np.sort(rng.choice(USERS * ITEMS, N, replace=False))
    return keys // ITEMS, keys % ITEMS


@pytest.fixture(scope="module")
def shards(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "s"
    pieces = zip(*(np.array_split(column, 9) for column in pairs))
    write_shards(folder, pieces, USERS, ITEMS, num_shards=3, per_block=64)
    return folder


def stream(folder, **options):
    return PairStream(folder, **{"batch_size": 128, "lanes": 4, "window": 1000} | options)


def counted(batches):
    return Counter(
        pair for b in batches for pair in zip(b.users[b.weight > 0].tolist(), b.items[b.weight > 0].tolist())
    )


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_has_every_pair_once_over_all_processes(shards, pairs, processes, epoch):
    streams = [stream(shards, process_index=index, process_count=processes) for index in range(processes)]
    steps = range(epoch * streams[0].steps_per_epoch, (epoch + 1) * streams[0].steps_per_epoch)
    found = Counter()
    for one in streams:
        assert one.num_pairs == N and one.steps_per_epoch == 24  # ceil(3001 / 128)
        found += counted(one.batch(step) for step in steps)
    assert found == Counter(zip(pairs[0].tolist(), pairs[1].tolist()))


@pytest.mark.parametrize("processes", [2, 4])
def test_the_global_batch_does_not_depend_on_the_number_of_processes(shards, processes):
    alone = stream(shards)
    parts = [stream(shards, process_index=index, process_count=processes) for index in range(processes)]
    for step in (0, 7, 23, 24, 100):
        together = [np.concatenate(columns) for columns in zip(*(part.batch(step) for part in parts))]
        assert same(alone.batch(step), together)
        assert together[3].tolist() == list(range(128))


def test_epochs_and_seeds_differ_and_batches_mix_users(shards):
    one, other = stream(shards), stream(shards, seed=1)
    assert not same(one.batch(0), one.batch(24)) and not same(one.batch(0), other.batch(0))
    assert same(one.batch(5), stream(shards).batch(5))
    assert len(set(one.batch(3).users.tolist())) > 80, "128 pairs in the order of the input are of 13 users"


@pytest.mark.parametrize("ahead", [0, 5])
def test_a_restored_stream_goes_on_to_the_bit(shards, ahead):
    whole = stream(shards, ahead=ahead)
    batches = [next(whole) for _ in range(60)]
    whole.close()
    assert all(same(batch, whole.batch(step)) for step, batch in enumerate(batches))
    cut = stream(shards, ahead=ahead)
    for _ in range(17):
        next(cut)
    state = json.loads(json.dumps(cut.state()))
    assert state["step"] == 17, "what was read ahead does not count"
    cut.close()
    again = stream(shards, ahead=ahead, threads=1)
    again.restore(state)
    assert all(same(batch, next(again)) for batch in batches[17:])
    again.restore(state)
    assert same(batches[17], next(again))
    again.close()


def test_states_of_other_streams_are_refused(shards):
    one = stream(shards)
    for change in ({"seed": 1}, {"batch_size": 256}, {"lanes": 2}, {"window": 4}):
        with pytest.raises(ValueError, match=rf"got another .*{next(iter(change))}"):
            stream(shards, **change).restore(one.state())
    with pytest.raises(ValueError, match="got another step"):
        one.restore(one.state() | {"step": -1})
    two = stream(shards, process_index=1, process_count=2)
    two.restore(one.state())


@pytest.mark.parametrize(
    "options, wanted",
    [
        ({"batch_size": 130}, "multiple of the 4 lanes"),
        ({"process_count": 3}, "divides the 4 lanes"),
        ({"process_index": 1}, "got process 1 of 1"),
    ],
)
def test_what_does_not_divide_is_refused(shards, options, wanted):
    with pytest.raises(ValueError, match=wanted):
        stream(shards, **options)


@pytest.mark.parametrize("lanes, window, batch", [(1, 7, 5), (3, 40, 6), (8, 1000, 8), (2, 1, 64)])
def test_the_order_is_a_permutation_cut_into_windows(lanes, window, batch):
    sizes = np.array([10, 10, 3, 10, 1, 10, 7])
    order = PairOrder(sizes, batch, lanes, window, seed=3)
    seen = Counter()
    for step in range(order.steps_per_epoch, 2 * order.steps_per_epoch):
        for lane in range(lanes):
            taken = 0
            for held, places in order.windows(step, lane):
                numbered = [(p.block, at) for p in order.pieces(held) for at in range(p.begin, p.end)]
                assert len(numbered) == held.end - held.begin <= window
                shuffle = order.shuffle(held)
                assert sorted(shuffle.tolist()) == list(range(len(numbered)))
                chosen = [numbered[place] for place in shuffle[places]]
                taken += len(chosen)
                seen.update(chosen)
            assert taken <= order.rows
    assert seen == Counter((block, at) for block, size in enumerate(sizes) for at in range(size))


def test_shuffles_are_even():
    """The first place of a window holds each of its pairs about as often."""
    order = PairOrder(np.array([8]), 1, 1, 8, seed=0)
    firsts = Counter(int(order.shuffle(Window(epoch, 0, 8))[0]) for epoch in range(4000))
    assert min(firsts.values()) > 400 and max(firsts.values()) < 600


def test_training_pairs_of_a_graph_folder_become_shards(tmp_path, pairs):
    graph = prepare(tmp_path / "g", Columns(pairs[0], pairs[1]), progress=False)
    written = write_training_pairs(graph, tmp_path / "s", progress=False, num_shards=2, per_block=100)
    assert written.sizes.sum() == graph.num_pairs and len(written.paths) == 2
    one = stream(tmp_path / "s")
    found = counted(one.batch(step) for step in range(one.steps_per_epoch))
    assert found == Counter(zip(graph.train.user.tolist(), graph.train.item.tolist()))


def test_pairs_that_cannot_be_written_are_refused(tmp_path, shards):
    one = np.array([0])
    for given, wanted in (
        (([(one, one + 5)], 3, 3), r"wanted items in 0\.\.2, got 5\.\.5"),
        (([(one - 1, one)], 3, 3), r"wanted users in 0\.\.2, got -1\.\.-1"),
        (([], 3, 3), "wanted pairs, got none"),
    ):
        with pytest.raises(DataError, match=wanted):
            write_shards(tmp_path / "s", *given)
    assert not (tmp_path / "s" / "shards.json").exists()
    with pytest.raises(DataError, match="wanted a folder without shards"):
        write_shards(shards, [(one, one)], 3, 3)
    with pytest.raises(DataError, match=r"wanted 1\.\.10000 shards"):
        write_shards(tmp_path / "s", [], 3, 3, num_shards=0)


def test_damaged_shards_are_refused(tmp_path, pairs):
    folder = tmp_path / "s"
    write_shards(folder, [pairs], USERS, ITEMS, num_shards=2, per_block=64)
    text = (folder / "shards.json").read_text()
    first = sorted(folder.glob("*.array_record"))[0]

    def damaged(change, wanted, opened=open_shards):
        (folder / "shards.json").write_text(change(text))
        with pytest.raises((DataError, ValueError), match=wanted):
            opened(folder)
        (folder / "shards.json").write_text(text)

    damaged(lambda t: t.replace('"version": 1', '"version": 2'), "wanted socialjax pair shards of version 1")
    damaged(lambda t: t[:-9], "is damaged")
    damaged(lambda t: t.replace('"num_users": 300', '"num_users": "many"'), "num_users wants a whole number")
    damaged(lambda t: re.sub(r'"pairs": \d+', '"pairs": -1', t), "with pairs, got others")
    damaged(lambda t: re.sub(r'"pairs": \d+', '"pairs": 99999999', t), "with pairs, got others")
    damaged(lambda t: re.sub(r'"bytes": \d+', '"bytes": 70000', t, count=1), "wanted a plain file of 70000 bytes")
    damaged(lambda t: t.replace('"per_block": 64', '"per_block": 32'), "wanted .* records, got", stream)
    batch = lambda held: [stream(held).batch(step) for step in range(24)]  # noqa: E731
    damaged(lambda t: t.replace('"num_users": 300', '"num_users": 30'), r"wanted users in 0\.\.29, got", batch)
    raw = bytearray(first.read_bytes())
    raw[200] ^= 1
    first.write_bytes(raw)
    damaged(lambda t: t, "wanted block .*, got one that cannot be read .*; write the shards again", batch)
    os.rename(first, folder / "x")
    os.symlink(folder / "x", first)
    damaged(lambda t: t, "wanted a plain file of")
    with pytest.raises(DataError, match="got none that are finished"):
        open_shards(tmp_path)


def test_without_grain_it_is_said_how_to_get_it(monkeypatch, shards):
    monkeypatch.setitem(__import__("sys").modules, "grain", None)
    with pytest.raises(ImportError, match=r"extra `scale`, which is not installed; pip install 'socialjax\[scale\]'"):
        pair_stream.require_grain()
