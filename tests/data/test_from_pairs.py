"""Data sets made in Python: the same as of files, whatever the columns come in."""

import dataclasses

import numpy as np
import pandas
import polars
import pytest
from test_builders import assert_same

from socialjax.data import sources
from socialjax.data.schema import Dataset
from socialjax.formats.file_bytes import DataError

RNG = np.random.default_rng(0)
USERS = [f"u{number}" for number in RNG.integers(30, size=400)]
ITEMS = [f"i{number}" for number in RNG.integers(20, size=400)]
TIMES = (1_400_000_000 + RNG.permutation(400) * 3600).tolist()
LINKS = (USERS[:60], USERS[60:120])
LOOKS = ([f"i{number}" for number in range(19, -1, -1)], RNG.normal(size=(20, 5)).astype(np.float32))
TITLES = {"i1": 'Film, the "1"th', "i2": "Two"}


def columns_of(data):
    """The set without where it comes from."""
    return dataclasses.replace(data, provenance=None)


@pytest.fixture
def folder(tmp_path):
    """The same as files."""
    shop = tmp_path / "shop"
    shop.mkdir()
    pandas.DataFrame({"user": USERS, "item": ITEMS, "time": TIMES}).to_csv(shop / "orders.csv", index=False)
    pandas.DataFrame({"follower": LINKS[0], "followee": LINKS[1]}).to_csv(shop / "orders.links", index=False)
    pandas.DataFrame({"item": list(TITLES), "title": list(TITLES.values())}).to_csv(shop / "orders.items", index=False)
    np.savez(shop / "item_features.npz", ids=np.array(LOOKS[0]), features=LOOKS[1])
    return shop


def as_frames(kind):
    looks = {"sku": LOOKS[0]} | {f"look{column}": LOOKS[1][:, column] for column in range(5)}
    return {
        "users": kind({"user": USERS, "item": ITEMS, "time": TIMES}),
        "links": kind({"follower": LINKS[0], "followee": LINKS[1]}),
        "item_features": kind(looks),
        "item_titles": kind({"item": list(TITLES), "title": list(TITLES.values())}),
    }


FORMS = {
    "lists": {"users": USERS, "items": ITEMS, "times": TIMES, "links": LINKS, "item_features": LOOKS},
    "arrays": {
        "users": np.array(USERS),
        "items": np.array(ITEMS, object),
        "times": np.array(TIMES, "datetime64[s]"),
        "links": tuple(map(np.array, LINKS)),
        "item_features": (np.array(LOOKS[0]), LOOKS[1]),
        "item_titles": (np.array(list(TITLES)), np.array(list(TITLES.values()))),
    },
    "pandas": as_frames(pandas.DataFrame),
    "polars": as_frames(polars.DataFrame),
    "a dict": as_frames(dict),
}


@pytest.mark.parametrize("form", FORMS)
def test_columns_give_the_data_set_of_the_files(folder, form):
    made = Dataset.from_pairs(**{"item_titles": TITLES, "name": "orders"} | FORMS[form])
    assert_same(columns_of(made), columns_of(Dataset.from_folder(folder)))
    assert made.num_users == 30 and made.item_titles[made.item_names.tolist().index("i1")] == TITLES["i1"]
    assert any("features of orders (item features): 20 of 20 items" in line for line in made.provenance.repairs)


def test_options_are_those_of_the_command_line(folder):
    options = {"split": "time", "ratios": (0.1, 0.3), "k_core": 2, "repeats": "last", "seed": 4}
    made = Dataset.from_pairs(USERS, ITEMS, times=TIMES, links=LINKS, **options)
    read = sources.load(sources.DataSettings(name="orders", dir=folder, **options))
    for part, pairs in made.parts().items():
        assert_same(pairs, read.parts()[part])
    assert len(made.test) > len(made.validation) > 20


def test_a_folder_needs_no_name_where_there_is_one_table(folder):
    named = Dataset.from_folder(folder, "orders")
    assert_same(columns_of(named), columns_of(Dataset.from_folder(str(folder))))
    assert named.name == "orders"
    (folder / "shop.csv").write_text("user,item\na,i1\na,i2\nb,i1\nb,i2\n")
    assert Dataset.from_folder(folder).name == "shop"
    (folder / "shop.csv").rename(folder / "more.csv")
    with pytest.raises(DataError, match=r"wanted shop\.train\.rating .*the folder has .*more\.csv"):
        Dataset.from_folder(folder)


def test_a_set_is_loaded_by_its_name(folder, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_DATA", str(folder.parent))
    (folder / "orders.csv").rename(folder / "shop.csv")
    assert sources.load_dataset("shop", k_core=3).name == "shop"
    assert sources.load_dataset("filmtrust", offline=True).provenance.kind == "stand-in"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"splitt": "time"}, "no option is called splitt; there are split, ratios"),
        ({"items": ITEMS[:5]}, "wanted a pandas or Polars frame.*equally long columns"),
        (
            {"item_features": (LOOKS[0][:3], LOOKS[1])},
            r"wanted ids \[N\] and features .*\(3,\) and \(20, 5\)",
        ),
        ({"item_features": (["i1", "i1"], LOOKS[1][:2])}, "wanted each id once, got 'i1' 2 times"),
        ({"item_features": (LOOKS[0], np.full((20, 5), np.nan))}, "features"),
        ({"item_titles": {"x": "y"}}, "wanted titles of items that occur in pairs, got none of 1"),
        ({"links": (["a"], ["b"])}, "links"),
        ({"values": ["good"] * 400}, r"line 1: wanted a value, a finite number, got 'good'"),
        ({"min_value": 3.0}, "min"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(wrong, message):
    with pytest.raises(DataError, match=message):
        Dataset.from_pairs(**{"users": USERS, "items": ITEMS, "times": TIMES} | wrong)
