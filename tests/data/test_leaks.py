"""Leaks: each kind is put into twenty sets and found in all, and twenty clean sets with tempting features pass."""

import dataclasses
import os

import numpy as np
import pytest

from socialjax.commands import data as command
from socialjax.data import leaks, sources, validate
from socialjax.data.leaks import explained_columns, item_columns
from socialjax.data.own.joined import read_negatives
from socialjax.data.schema import Interactions, interactions
from socialjax.data.split import by_time, concatenate, leave_one_out
from socialjax.eval import protocol
from socialjax.formats.file_bytes import DataError
from socialjax.worlds.planted import influence

SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 20))]


def world(seed):
    """A planted set with item features: the item's topic, blurred."""
    made = influence(seed, num_users=300, num_items=160, num_topics=5, links=4)
    rng = np.random.default_rng(seed + 1000)
    items = np.eye(5)[made.item_topic] + 0.7 * rng.normal(size=(160, 5))
    return dataclasses.replace(made.data, item_features=items.astype(np.float32)), made, rng


def mean_features(data, *parts):
    """The mean of the item features over a user's items in these parts; zeros without any."""
    total, number = np.zeros((data.num_users, data.item_features.shape[1])), np.zeros(data.num_users)
    for part in parts:
        pairs = getattr(data, part)
        np.add.at(total, pairs.user, data.item_features[pairs.item])
        np.add.at(number, pairs.user, 1)
    return (total / np.maximum(number, 1)[:, None]).astype(np.float32)


def marks(data, *parts):
    """f32[U, I], 1 where the user took the item in one of these parts."""
    table = np.zeros((data.num_users, data.num_items), np.float32)
    for part in parts:
        pairs = getattr(data, part)
        table[pairs.user, pairs.item] = 1
    return table


def renamed(data, order):
    """`data` with item order[k] called k."""
    new = np.argsort(order).astype(np.int32)
    parts = {part: Interactions(p.user, new[p.item], p.value, p.time) for part, p in data.parts().items()}
    return dataclasses.replace(data, item_features=data.item_features[order], **parts)


def popularity(data, *parts):
    return sum(np.bincount(getattr(data, part).item, minlength=data.num_items) for part in parts)


def with_times(data, rng, how):
    """Every pair with a time, split anew where the order has to mean something."""
    pairs = concatenate(list(data.parts().values()))
    pairs = dataclasses.replace(pairs, time=rng.integers(0, 10**6, size=len(pairs)))
    if how == "ratio":
        part = rng.choice(3, size=len(pairs), p=(0.8, 0.1, 0.1))
        parts = [pairs.take(part == k) for k in range(3)]
    else:
        parts = by_time(pairs) if how == "time" else leave_one_out(pairs)
    return dataclasses.replace(data, train=parts[0], validation=parts[1], test=parts[2])


def kinds(data, **options):
    return {finding.kind for finding in leaks.find(data, **options)}


CLEAN = {
    "train means": lambda data, made, rng: mean_features(data, "train"),
    "train and validation means": lambda data, made, rng: mean_features(data, "train", "validation"),
    "the taste itself": lambda data, made, rng: np.eye(5)[made.topic],
    "blurred taste": lambda data, made, rng: np.eye(5)[made.topic] + 0.3 * rng.normal(size=(300, 5)),
    "noise": lambda data, made, rng: rng.normal(size=(300, 7)),
    "marks of train": lambda data, made, rng: marks(data, "train"),
    "attributes": lambda data, made, rng: np.eye(30)[rng.integers(30, size=300)],
}


@pytest.mark.parametrize("seed", SEEDS)
def test_clean_sets_raise_no_alarm(seed):
    data, made, rng = world(seed)
    for how in ("ratio", "time", "leave-one-out"):
        assert kinds(with_times(data, rng, how)) == set(), how
    assert kinds(with_times(data, rng, "ratio"), split="ratio") == set()
    assert kinds(renamed(data, np.argsort(-popularity(data, "train"), kind="stable"))) == set()
    for name, make in CLEAN.items():
        features = np.asarray(make(data, made, rng), np.float32)
        assert kinds(dataclasses.replace(data, user_features=features)) == set(), name
    lists = protocol.candidates(data, protocol.parse("sampled50-strict", ks=(1,)))
    drawn = np.repeat(lists.users, 50), lists.negatives.ravel()
    assert leaks.negatives(data, *drawn, "the drawn lists") is None


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "earlier, later", [("train", "validation"), ("train", "test"), ("validation", "test")], ids="-".join
)
def test_pairs_in_two_parts_are_found(seed, earlier, later):
    data, _, rng = world(seed)
    copied = getattr(data, later).take(rng.permutation(len(getattr(data, later)))[: 1 + seed])
    leaking = dataclasses.replace(data, **{earlier: concatenate([getattr(data, earlier), copied])})
    (finding,) = leaks.overlaps(leaking)
    assert (finding.kind, finding.number) == (f"{later} in {earlier}", 1 + seed)
    assert 1 <= len(finding.rows) <= 5 and "item" in finding.rows[0] and f"{1 + seed} of" in finding.what
    assert finding.kind in kinds(leaking)
    with pytest.raises(validate.OverlapError) as refused:
        validate.check(leaking)
    assert refused.value.data is leaking


@pytest.mark.parametrize("parts", [("train", "test"), ("train", "validation", "test"), ("test",)], ids="-".join)
@pytest.mark.parametrize("seed", SEEDS)
def test_user_features_that_hold_test_items_are_found(seed, parts):
    data, _, rng = world(seed)
    means = mean_features(data, *parts) @ rng.normal(size=(5, 8)).astype(np.float32)
    blurred = means + 0.02 * means.std() * rng.normal(size=means.shape)
    beside = np.concatenate([rng.normal(size=(300, 3)), means], axis=1)  # next to columns that say nothing
    order = rng.permutation(data.num_items)
    for name, table in {
        "means": means, "blurred": blurred, "beside": beside, "marks": marks(data, *parts),
        "marks in another order": marks(data, *parts)[:, order],
    }.items():  # fmt: skip
        assert kinds(dataclasses.replace(data, user_features=np.float32(table))) == {"test items in user features"}, (
            name
        )
    without = dataclasses.replace(data, item_features=None, user_features=marks(data, *parts))
    columns, user, item = item_columns(without)
    assert set(zip(user, item)) <= set(zip(data.test.user, data.test.item)) and len(columns) > 20
    columns, users, _, ratio = explained_columns(dataclasses.replace(data, user_features=np.float32(beside)))
    assert columns.min() >= 3 and np.isin(users, data.test.user).all() and ratio < 0.5


@pytest.mark.parametrize("parts", [("test",), ("train", "test"), ("train", "validation", "test")], ids="-".join)
@pytest.mark.parametrize("seed", SEEDS)
def test_ids_in_order_of_test_popularity_are_found(seed, parts):
    data, _, _ = world(seed)
    order = np.argsort(popularity(data, *parts) * (1 if seed % 2 else -1), kind="stable")
    (finding,) = leaks.find(renamed(data, order))
    assert finding.kind == "ids by test popularity" and len(finding.rows) == 5
    assert ("rise" if seed % 2 else "fall") in finding.what


def test_the_order_of_ids_by_hand():
    # items 0..2 have one training pair, 3 and 4 have two: places -1 0 1 and -.5 .5, counts centred -1 0 1 and .5 -.5
    share, sigmas = leaks._order_of_ids(np.array([1, 1, 1, 2, 2]), np.array([0, 1, 2, 1, 0]))
    assert share == pytest.approx((2 - 0.5) / (2 + 0.5))
    # variance of a permutation: (2 * 2) / 2 + (.5 * .5) / 1
    assert sigmas == pytest.approx(1.5 / np.sqrt(2.25))


@pytest.mark.parametrize("seed", SEEDS)
def test_negatives_that_are_positives_are_found(seed):
    data, _, rng = world(seed)
    lists = protocol.candidates(data, protocol.parse("sampled20-strict", ks=(1,)))
    negatives = lists.negatives.copy()
    rows = rng.permutation(len(data.test))[: 1 + seed]
    at = np.searchsorted(lists.users, data.test.user[rows])
    negatives[at, rng.integers(20, size=len(rows))] = data.test.item[rows]
    finding = leaks.negatives(data, np.repeat(lists.users, 20), negatives.ravel(), "the file")
    assert 1 <= finding.number <= 1 + seed and "of test" in finding.what and "the file" in finding.what


@pytest.mark.parametrize("how", ["time", "leave-one-out"])
@pytest.mark.parametrize("seed", SEEDS)
def test_training_after_test_is_found(seed, how):
    data, _, rng = world(seed)
    data = with_times(data, rng, how)
    tested = np.flatnonzero(np.isin(data.train.user, data.test.user))
    rows = rng.permutation(tested)[: 1 + seed]
    time = data.train.time.copy()
    time[rows] += 10**6
    leaking = dataclasses.replace(data, train=dataclasses.replace(data.train, time=time))
    for split in ("auto", how):
        (finding,) = leaks.find(leaking, split)
        assert finding.kind == "training after test" and finding.number == 1 + seed
        assert finding.rows[0].startswith("train: user ")
    assert kinds(leaking, split="ratio") == set()


def test_times_of_a_random_split_are_wrong_when_an_order_is_claimed():
    data, _, rng = world(0)
    data = with_times(data, rng, "ratio")
    assert kinds(data, split="time") == kinds(data, split="leave-one-out") == {"training after test"}


# The command, on files.


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SOCIALJAX_DATA", raising=False)
    data = world(0)[0]
    for part, short in (("train", "train"), ("validation", "val"), ("test", "test")):
        pairs = getattr(data, part)
        rows = (f"{user}\t{item}\t1\n" for user, item in zip(pairs.user, pairs.item))
        (tmp_path / f"mine.{short}.rating").write_text("".join(rows))
    return tmp_path, data


def test_check_reports_no_leaks_on_a_clean_folder(folder, capsys):
    assert command.main(["check", "mine", "--data.dir", str(folder[0])]) == 0
    assert "mine: no leaks found" in capsys.readouterr().out


def test_check_examines_a_folder_with_overlap_and_exits_1(folder, capsys):
    path, data = folder
    with open(path / "mine.train.rating", "a") as train:
        train.write(f"{data.test.user[0]}\t{data.test.item[0]}\t1\n")
    assert command.main(["check", "mine", "--data.dir", str(path)]) == 1
    out = capsys.readouterr().out
    assert "leak (test in train): 1 of" in out and "mine: 1 leak found" in out
    assert f"user {data.test.user[0]}, item {data.test.item[0]}" in out
    with pytest.raises(DataError, match="pairs of test that are in train too, got 1"):
        sources.load(sources.DataSettings(name="mine", dir=path))


@pytest.mark.parametrize("form", ["({user},{item})\t{negatives}\n", "{user} {negatives}\n"])
def test_check_looks_into_a_file_of_negatives(folder, form, capsys):
    path, data = folder
    user, item = int(data.test.user[0]), int(data.test.item[0])
    taken = np.concatenate([part.item[part.user == user] for part in data.parts().values()])
    fine = np.setdiff1d(np.arange(data.num_items), taken)[:5]
    for negatives, code in ((fine, 0), ([*fine, item], 1)):
        line = form.format(user=user, item=item, negatives="\t".join(map(str, negatives)))
        (path / "mine.test.negative").write_text(line)
        assert command.main(["check", "mine", "--data.dir", str(path)]) == code
    assert "1 of 6 negatives in mine.test.negative were taken by their user (1 of test)" in capsys.readouterr().out


def test_a_file_of_negatives_with_words_for_ids_is_read_and_unknown_ones_are_named(tmp_path):
    data = dataclasses.replace(
        world(0)[0], name="mine", user_names=np.array([f"u{u}" for u in range(300)]),
        item_names=np.array([f"i{i}" for i in range(160)]),
    )  # fmt: skip
    (tmp_path / "mine.test.negative").write_text("(u3,i5)\ti7\ti9\n\nu4 i1\n")
    user, item, name = read_negatives(tmp_path, data)
    assert (user.tolist(), item.tolist(), name) == ([3, 3, 4], [7, 9, 1], "mine.test.negative")
    (tmp_path / "mine.test.negative").write_text("u3 i7\nu3 i999\n")
    with pytest.raises(DataError, match="line 2: wanted a user and items of the data set, got 'i999'"):
        read_negatives(tmp_path, data)
    assert read_negatives(tmp_path / "elsewhere", data) is None


@pytest.mark.parametrize("name", ["yelp", "flickr", "lastfm", "filmtrust", "yelp_hin"])
def test_published_sets_raise_no_alarm(name):
    if not os.environ.get("SOCIALJAX_DATA"):
        pytest.skip("set SOCIALJAX_DATA to the folder that holds yelp/, flickr/, ... to run this test")
    assert leaks.find(sources.load(sources.DataSettings(name=name, require_real=True))) == []


def test_sets_without_a_test_part_are_examined_too():
    data = dataclasses.replace(world(0)[0], test=interactions([], []), user_features=np.ones((300, 4), np.float32))
    assert leaks.find(data) == []
