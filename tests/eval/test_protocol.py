"""Protocols and the candidates they give."""

import dataclasses

import numpy as np
import pytest

from socialjax.data.schema import Dataset, Provenance, interactions, no_interactions
from socialjax.eval.metrics import joined, rows_of
from socialjax.eval.protocol import Protocol, candidates, check, parse


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    users, items = np.divmod(rng.permutation(40 * 100)[:900], 100)
    parts = [interactions(users[a:b], items[a:b]) for a, b in ((0, 600), (600, 700), (700, 900))]
    return Dataset("small", 40, 100, *parts, Provenance("planted", "test"))


def items_of(pairs, user):
    return set(pairs.item[pairs.user == user].tolist())


def test_rows_hold_each_users_items_once_and_can_be_taken_and_joined():
    rows = rows_of([interactions([2, 0, 2, 2], [5, 1, 3, 5]), interactions([2], [4])], 4, 6)
    assert rows.offsets.tolist() == [0, 1, 1, 4, 4] and rows.items.tolist() == [1, 3, 4, 5]
    taken = rows.take(np.array([2, 1, 0, 2]))
    assert taken.lengths().tolist() == [3, 0, 1, 3] and taken.items.tolist() == [3, 4, 5, 1, 3, 4, 5]
    both = joined(rows, rows_of([interactions([0, 2, 3], [1, 0, 2])], 4, 6))
    assert both.offsets.tolist() == [0, 1, 1, 5, 6] and both.items.tolist() == [1, 0, 3, 4, 5, 2]
    assert len(rows_of([], 3, 6)) == 3


def test_names_say_everything():
    assert parse("sampled1000-strict").num_negatives == 1000 and parse("sampled1000-strict").strict
    assert parse("sampled100-official", ks=(10,)).ks == (10,) and not parse("sampled100-official").strict
    assert parse("full").num_negatives is None
    for wrong in ("sampled100", "sampled0-strict", "Full", "sampled-strict", "sampled1000_strict"):
        with pytest.raises(ValueError, match="sampledN-strict"):
            parse(wrong)
    with pytest.raises(ValueError, match="cut-offs must be positive"):
        parse("full", ks=(0, 5))
    with pytest.raises(ValueError, match="mask must name"):
        parse("full", mask=("valid",))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_official_rejects_the_parts_positives_alone(data, part):
    found = candidates(data, parse("sampled60-official", ks=(5,)), part)
    pairs = getattr(data, part)
    assert found.users.tolist() == sorted(set(pairs.user.tolist()))
    train_seen = 0
    for row, user in enumerate(found.users):
        mine = found.positives.items[found.positives.offsets[row] : found.positives.offsets[row + 1]]
        assert set(mine.tolist()) == items_of(pairs, user)
        assert not set(found.negatives[row].tolist()) & items_of(pairs, user)
        train_seen += len(set(found.negatives[row].tolist()) & items_of(data.train, user))
    assert train_seen > 0 and len(set(found.negatives[0].tolist())) < 60


@pytest.mark.parametrize("part", ["validation", "test"])
def test_strict_rejects_its_part_and_those_before_and_repeats_nothing(data, part):
    found = candidates(data, parse("sampled50-strict", ks=(5,)), part)
    parts = [data.train, data.validation] + [data.test] * (part == "test")
    for row, user in enumerate(found.users):
        drawn = set(found.negatives[row].tolist())
        assert len(drawn) == 50
        assert not drawn & set().union(*(items_of(pairs, user) for pairs in parts))


def test_the_two_parts_of_a_user_get_lists_of_their_own(data):
    """Draw by draw they are as different as those of two users."""
    lists = [candidates(data, parse("sampled50-official", ks=(5,)), part) for part in ("validation", "test")]
    users = np.intersect1d(*(each.users for each in lists))
    drawn = [each.negatives[np.searchsorted(each.users, users)] for each in lists]
    assert len(users) > 1 and np.mean(drawn[0] == drawn[1]) < 0.2
    assert np.mean(drawn[0] == np.roll(drawn[0], 1, axis=0)) < 0.2


@pytest.mark.parametrize("name", ["sampled50-strict", "sampled50-official", "full"])
def test_validation_lists_do_not_know_the_test_part(data, name):
    moved = dataclasses.replace(data.test, item=(data.test.item + 7) % data.num_items)
    one, other = (
        candidates(each, parse(name, ks=(5,)), "validation") for each in (data, dataclasses.replace(data, test=moved))
    )
    for field in ("users", "negatives"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    for field in ("positives", "masked"):
        if getattr(one, field) is not None:
            np.testing.assert_array_equal(getattr(one, field).items, getattr(other, field).items)
    if name == "sampled50-strict":  # and a test item does stand among the negatives of some list
        taken = [items_of(data.test, user) for user in one.users]
        assert any(set(row.tolist()) & items for row, items in zip(one.negatives, taken))


def test_full_masks_train_or_what_it_is_told(data):
    habit = candidates(data, parse("full"))
    both = candidates(data, parse("full", mask=("train", "validation")))
    assert habit.negatives is None
    for row, user in enumerate(habit.users):
        masked = [
            set(c.masked.items[c.masked.offsets[row] : c.masked.offsets[row + 1]].tolist()) for c in (habit, both)
        ]
        assert masked[0] == items_of(data.train, user)
        assert masked[1] == items_of(data.train, user) | items_of(data.validation, user)


def test_asking_for_some_users_changes_nothing_for_them(data):
    everyone = candidates(data, parse("sampled50-strict", ks=(5,)))
    some = candidates(data, parse("sampled50-strict", ks=(5,)), users=everyone.users[[7, 3]])
    np.testing.assert_array_equal(some.users, everyone.users[[3, 7]])
    np.testing.assert_array_equal(some.negatives, everyone.negatives[[3, 7]])
    np.testing.assert_array_equal(some.positives.items, everyone.positives.take(np.array([3, 7])).items)


def test_drop_tail_leaves_a_multiple_of_sixteen_users(data):
    everyone = candidates(data, parse("sampled50-official", ks=(5,)))
    dropped = candidates(data, parse("sampled50-official", ks=(5,), drop_tail=True))
    assert len(everyone) % 16 != 0 and len(dropped) == len(everyone) // 16 * 16
    np.testing.assert_array_equal(dropped.users, everyone.users[: len(dropped)])


def test_cutoffs_beyond_the_catalogue_or_the_list_are_refused(data):
    with pytest.raises(ValueError, match=r"K = 101 is larger than the catalogue \(100 items, data set 'small'"):
        candidates(data, parse("full", ks=(10, 101)))
    with pytest.raises(ValueError, match=r"K = 50 is larger than the list .* \(21 items"):
        candidates(data, parse("sampled20-strict"))
    assert candidates(data, parse("full", ks=(100,))).num_items == 100


def test_an_empty_or_unknown_part_is_refused(data):
    empty = dataclasses.replace(data, validation=no_interactions())
    with pytest.raises(ValueError, match="no user of data set 'small' has a validation pair"):
        candidates(empty, parse("full"), "validation")
    with pytest.raises(ValueError, match="got 'train'"):
        candidates(data, Protocol("full"), "train")


def test_official_lists_longer_than_the_catalogue_are_refused(data):
    with pytest.raises(ValueError, match=r"with replacement.*choose fewer, or 'full'"):
        candidates(data, parse(f"sampled{data.num_items}-official", ks=(5,)))


def test_what_no_list_can_be_drawn_for_is_refused_from_counts_as_by_drawing(data):
    """`check` refuses exactly what `candidates` refuses, with the same words."""
    for name in (
        "full",
        "sampled60-strict",
        "sampled85-strict",
        "sampled99-strict",
        "sampled100-official",
        "sampled9-official",
    ):
        for part in ("validation", "test"):
            asked = parse(name, ks=(1,))
            said = []
            for act in (check, candidates):
                try:
                    act(data, asked, part)
                    said.append("")
                except ValueError as error:
                    said.append(str(error))
            assert said[0] == said[1], (name, part)
