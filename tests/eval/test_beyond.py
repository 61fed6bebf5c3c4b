"""Metrics beyond accuracy against slow twins, public implementations, and numbers worked by hand."""

import itertools
import json
import math
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socialjax.data.schema import Dataset, Provenance, interactions, no_interactions
from socialjax.eval import beyond
from socialjax.eval.beyond import Catalogue, Lists, measure
from tests.eval.beyond_public import FIGURES, ITEMS, KS, USERS, one_set


def data_of(taken, num_items, features=None):
    """taken: the training items of each user."""
    pairs = [(user, item) for user, items in enumerate(taken) for item in items]
    train = interactions(*zip(*pairs)) if pairs else no_interactions()
    nothing = no_interactions()
    return Dataset(
        "t", len(taken), num_items, train, nothing, nothing, Provenance("planted", "t"), item_features=features
    )


def lists_of(data, rows, users=None):
    """rows: the items of each user, short ones padded."""
    longest = max((len(row) for row in rows), default=0)
    items = np.full((len(rows), longest), -1, np.int32)
    for place, row in enumerate(rows):
        items[place, : len(row)] = row
    return Lists(np.arange(len(rows)) if users is None else np.array(users), items, Catalogue(data))


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else None


def twin(taken, num_items, features, users, rows):
    """Every metric from its definition, one user, item and pair at a time; None where it is not defined."""
    taken = [set(items) for items in taken]
    who = [{user for user, items in enumerate(taken) if item in items} for item in range(num_items)]
    warm = sum(bool(items) for items in taken)
    places = [item for row in rows for item in row]

    times = sorted(places.count(item) for item in range(num_items))
    gaps = sum(abs(a - b) for a in times for b in times)  # Gini as the mean absolute difference

    def by_users(a, b):
        return len(who[a] & who[b]) / math.sqrt(len(who[a]) * len(who[b])) if who[a] and who[b] else 0

    def by_features(a, b):
        dot = lambda x, y: sum(float(p) * float(q) for p, q in zip(x, y))  # noqa: E731
        x, y = features[a], features[b]
        return dot(x, y) / math.sqrt(dot(x, x) * dot(y, y)) if dot(x, x) and dot(y, y) else 0

    def within_lists(cosine):
        pairs = [list(itertools.combinations(row, 2)) for row in rows]
        return mean(1 - mean(cosine(a, b) for a, b in some) for some in pairs if some)

    both = [(row, taken[user]) for user, row in zip(users, rows) if row and taken[user]]
    popular = lambda some: mean(len(who[item]) for item in some)  # noqa: E731

    total, before, tiers = sum(map(len, who)), 0, {}
    for item in sorted(range(num_items), key=lambda item: (-len(who[item]), item)):
        five = 5 * before  # whole numbers: a fifth is no binary fraction
        tiers[item] = "Head" if five < total else "Mid" if five < 4 * total else "Tail"
        if not who[item]:
            tiers[item] = "Tail"
        before += len(who[item])
    return {
        "Coverage": len(set(places)) / num_items,
        "Gini": gaps / (2 * num_items * len(places)) if places else None,
        "Novelty": mean(mean(math.log2(max(warm, 1) / max(len(who[i]), 1)) for i in row) for row in rows if row),
        "ILD": within_lists(by_users),
        "FeatureILD": None if features is None else within_lists(by_features),
        "Popularity": mean(popular(row) for row in rows if row),
        "Lift": mean(popular(r) for r, _ in both) / mean(popular(t) for _, t in both) - 1 if both else None,
        **{tier: mean(tiers[item] == tier for item in places) for tier in ("Head", "Mid", "Tail")},
    }


def check(taken, num_items, features, users, rows, k):
    data = data_of(taken, num_items, features)
    got = measure(lists_of(data, rows, users), (k,)).figures
    wanted = twin(taken, num_items, features, users, [row[:k] for row in rows])
    assert set(got) == {f"{name}@{k}" for name, value in wanted.items() if value is not None}
    for name, value in got.items():
        assert value == pytest.approx(wanted[name.partition("@")[0]], rel=1e-9, abs=1e-9), name


@st.composite
def cases(draw):
    """Small sets with cold users, items nobody took, one item alone, equally popular items and lists of any length."""
    num_items, num_users = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    some_items = st.lists(st.integers(0, num_items - 1), max_size=num_items, unique=True)
    taken = [draw(some_items) for _ in range(num_users)]
    users = draw(st.lists(st.integers(0, num_users - 1), min_size=1, max_size=num_users, unique=True))
    rows = [draw(st.permutations([i for i in range(num_items) if i not in taken[user]])) for user in users]
    rows[0] = rows[0] if any(rows) else [0]
    numbers = st.lists(st.integers(-2, 2), min_size=2, max_size=2)
    features = np.array([draw(numbers) for _ in range(num_items)], np.float32) if draw(st.booleans()) else None
    return taken, num_items, features, users, rows, draw(st.integers(1, max(map(len, rows))))


@settings(max_examples=300, deadline=None)
@given(cases())
def test_every_metric_equals_its_twin(case):
    check(*case)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_blocks_of_any_size_give_the_same(case):
    whole = beyond.CELLS
    try:
        beyond.CELLS = 2
        check(*case)
    finally:
        beyond.CELLS = whole


def test_figures_equal_public_implementations():
    """RecBole, RecTools, Microsoft's recommenders and ClayRS, as beyond_public.py says."""
    users, items, lists, features = one_set()
    data = data_of([items[users == user].tolist() for user in range(USERS)], ITEMS, features)
    assert (lists >= ITEMS - 10).any()  # what nobody took is recommended as well
    got = measure(Lists(np.arange(USERS), lists, Catalogue(data)), KS).figures
    public = json.loads(FIGURES.read_text())
    compared = {name: value for library in public.values() for name, value in library["figures"].items()}
    named = ("Coverage", "Gini", "Novelty", "ILD", "FeatureILD", "Popularity", "Lift")
    assert set(compared) == {f"{name}@{k}" for name in named for k in KS}
    for name, value in compared.items():
        assert got[name] == pytest.approx(value, rel=1e-9, abs=1e-11), name


def test_numbers_worked_by_hand():
    # Item 0 was taken by users 0, 1, 2, 3; item 1 by 0, 1; item 2 by 2; item 3 by nobody: n = 4, 2, 1, 0, 7 pairs.
    data = data_of([[0, 1], [0, 1], [0, 2], [0]], 4)
    # User 2 gets 1 and 3, user 3 gets 1 and 2.
    got = measure(lists_of(data, [[1, 3], [1, 2]], users=[2, 3]), (2,)).figures
    assert got == pytest.approx({
        "Coverage@2": 3 / 4,
        # exposure 0 1 1 2, weights -3 -1 1 3: (0 - 1 + 1 + 6) / (4 * 4)
        "Gini@2": 6 / 16,
        # log2(4 / 2) = 1, log2(4 / 1) = 2 for both: (1.5 + 1.5) / 2
        "Novelty@2": 1.5,
        # no user took 1 and 3, or 1 and 2
        "ILD@2": 1.0,
        # (2 + 0) / 2 = 1 and (2 + 1) / 2 = 1.5
        "Popularity@2": 1.25,
        # they took 0 and 2: (4 + 1) / 2, and 0: 4; 1.25 / 3.25 - 1
        "Lift@2": 1.25 / 3.25 - 1,
        # before 0: 0 of 7, head; before 1: 4 of 7, mid; before 2: 6 of 7, tail; 3 was taken by nobody
        "Head@2": 0, "Mid@2": 2 / 4, "Tail@2": 2 / 4,
    })  # fmt: skip


def test_items_with_common_users_are_alike():
    # users of item 0: 0 1 2, of item 1: 1 2 3 4: 2 in common, 1 - 2 / sqrt(3 * 4)
    data = data_of([[0], [0, 1], [0, 1], [1], [1], []], 3)
    assert measure(lists_of(data, [[0, 1]], users=[5]), (2,)).figures["ILD@2"] == pytest.approx(1 - 2 / math.sqrt(12))


def test_groups_have_the_figures_of_their_own_lists():
    taken, num_items = [[0, 1], [2], [], [0, 3], [1]], 6
    rows, users = [[2, 3], [0, 4], [0, 1], [1, 4], [5, 0]], [0, 1, 2, 3, 4]
    lists = lists_of(data_of(taken, num_items), rows)
    some = np.array([True, False, True, False, True])
    groups = {"kind": {"some": some, "others": ~some, "none": np.zeros(5, bool)}}
    found = measure(lists, (1, 2), groups).groups["kind"]
    assert set(found) == {"some", "others"}
    for label, members in (("some", some), ("others", ~some)):
        for k in (1, 2):
            wanted = twin(
                taken, num_items, None, [u for u in users if members[u]], [rows[u][:k] for u in users if members[u]]
            )
            for name, value in wanted.items():
                assert found[label].get(f"{name}@{k}") == (None if value is None else pytest.approx(value)), name


def test_a_metric_of_ones_own_stands_beside_the_others():
    data = data_of([[0], [1], []], 3)
    lists = lists_of(data, [[1, 2], [0, 2], [0, 1]])
    own = {
        "FirstIsZero": lambda lists: lists.items[:, 0] == 0,
        "Length": lambda lists: np.where(lists.users < 2, lists.items.shape[1], np.nan),
        "Catalogue": lambda lists: lists.data.num_items,
    }
    got = measure(lists, (2,), {"kind": {"first": np.array([True, False, False])}}, beyond.LISTED | own)
    assert (got.figures["FirstIsZero@2"], got.figures["Length@2"], got.figures["Catalogue@2"]) == (2 / 3, 2, 3)
    assert got.groups["kind"]["first"]["FirstIsZero@2"] == 0
    assert "Coverage@2" in got.figures


def test_the_pages_own_metric_runs(capsys):
    page = Path(__file__).resolve().parents[2] / "docs" / "beyond_accuracy.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    exec(code, {})
    beyond.METRICS.pop("Rare")
    table, _, frame = capsys.readouterr().out.partition("Rare@10")
    values = dict(re.findall(r"^(\w+) +(\d\.\d+)$", frame, re.M))
    assert "beyond accuracy" in table and set(values) == {"random", "popularity", "friends", "bpr"} - {"friends"}
    assert all(0 <= float(value) <= 1 for value in values.values()) and len(set(values.values())) > 1


def test_what_cannot_be_measured_says_what_to_do():
    lists = lists_of(data_of([[0], []], 3), [[1, 2], [0, 1]])
    with pytest.raises(ValueError, match="lists of 2 items have no first 3; rank more items"):
        measure(lists, (3,))
    with pytest.raises(ValueError, match="metric Odd must give a number, or one for each of 2 users"):
        measure(lists, (2,), metrics={"Odd": lambda lists: np.zeros(5)})


def test_cut_offs_are_those_of_lists_that_people_see():
    assert beyond.cut_offs((5, 10, 15, 20, 50)) == (10, 20)
    assert beyond.cut_offs((5, 10)) == (10,)
    assert beyond.cut_offs((1, 3, 7)) == (1, 3)


def test_every_metric_has_words():
    assert set(beyond.MEANINGS) == set(beyond.LISTED)


def test_memory_is_bounded_by_blocks():
    """A catalogue whose table of items by items would take 3.6 GB, and a popular item that meets most others."""
    rng = np.random.default_rng(0)
    users, num_items = 3000, 30_000
    taken = [[0, *(1 + rng.choice(num_items - 1, 40, replace=False)).tolist()] for _ in range(users)]
    features = rng.normal(size=(num_items, 32)).astype(np.float32)
    data = data_of(taken, num_items, features)
    lists = Lists(np.arange(users), rng.integers(num_items, size=(users, 20)).astype(np.int32), Catalogue(data))
    assert lists.catalogue.popularity[0] == users  # made before what is measured
    tracemalloc.start()
    try:
        measure(lists, (20,))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300e6
