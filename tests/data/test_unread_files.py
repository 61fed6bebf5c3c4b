"""Files and columns that are not read: what is said of them is exact, so that following it has them read."""

import re

import pytest

from socialjax.data.own import folder
from socialjax.data.own.options import FolderOptions
from socialjax.data.sources import DataSettings, load
from socialjax.formats.file_bytes import DataError

WORDS = {"user": "m{}".format, "item": "p{}".format}
NUMBERS = {"user": "{}".format, "item": "{}".format}


def orders(where, ids=WORDS, name="shop.csv"):
    rows = [f"{ids['user'](u)},{ids['item'](i)},2024-0{1 + i}-0{1 + u}" for u in range(8) for i in range(6)]
    (where / name).write_text("member,product,date\n" + "\n".join(rows) + "\n")


def table(where, name, header, rows):
    (where / name).write_text("\n".join([header, *rows]) + "\n" if header else "\n".join(rows) + "\n")


def links(ids):
    return [f"{ids['user'](u)},{ids['user']((u + step) % 8)}" for u in range(8) for step in (1, 3)]


def of(data, file):
    """The suggestion about a file."""
    (found,) = [line for line in data.provenance.repairs if line.startswith(f"{file} seems")]
    return found


def follow(where, suggestion):
    """Renames the file, and gives the option, as a suggestion says; the data set that is read then."""
    old = suggestion.split()[0]
    (new,) = re.findall(r"(?:as|called) (shop\.\w+|\w+_features\.\w+)", suggestion)
    (where / old).rename(where / new)
    for column in re.findall(r"its column (\w+) called item", suggestion):
        (where / new).write_text((where / new).read_text().replace(column, "item", 1))
    chosen = re.findall(r"--data\.columns ((?:\w+=\w+ ?)+)", suggestion)
    return folder.read(where, "shop", FolderOptions(columns=tuple(chosen[0].split()) if chosen else ()))


@pytest.mark.parametrize("ids", [WORDS, NUMBERS])
@pytest.mark.parametrize("header", ["user_id,friend_id", "follower,followee"])
def test_a_file_of_two_users_is_read_as_links_when_it_is_called_as_said(tmp_path, ids, header):
    orders(tmp_path, ids)
    table(tmp_path, "friends.csv", header, links(ids))
    data = folder.read(tmp_path, "shop")
    assert data.links is None and "files of the folder not used: friends.csv" in data.provenance.repairs
    assert "shop.links" in of(data, "friends.csv")
    assert len(follow(tmp_path, of(data, "friends.csv")).links) == 16


def test_who_follows_whom_is_said_with_the_option_and_without_a_header_too(tmp_path):
    orders(tmp_path)
    table(tmp_path, "friends.csv", "customer,friend", links(WORDS))
    table(tmp_path, "others.csv", "", links(WORDS))
    data = folder.read(tmp_path, "shop")
    assert of(data, "friends.csv").endswith(
        "users in customer and friend: it is read as shop.links, where customer follows friend with --data.columns "
        "follower=customer"
    )
    assert of(data, "others.csv").endswith("users in 1 and 2: it is read as shop.links")
    read = follow(tmp_path, of(data, "friends.csv"))
    assert (read.user_names[read.links.follower[0]], read.user_names[read.links.followee[0]]) == ("m0", "m1")


@pytest.mark.parametrize("header", ["product,title", "sku,label", "thing,label"])
def test_a_file_of_items_and_text_is_read_as_titles_when_it_is_called_as_said(tmp_path, header):
    orders(tmp_path)
    table(tmp_path, "catalogue.csv", header, [f"p{i},A fine thing of kind {i}" for i in range(6)])
    data = folder.read(tmp_path, "shop")
    assert "shop.items" in of(data, "catalogue.csv")
    assert follow(tmp_path, of(data, "catalogue.csv")).item_titles[3] == "A fine thing of kind 3"


def test_numbers_of_items_or_users_are_features_and_a_maker_of_each_item_an_owner(tmp_path):
    orders(tmp_path)
    table(tmp_path, "looks.csv", "sku,red,green", [f"p{i},{i / 7},{1 - i}" for i in range(6)])
    table(tmp_path, "ages.tsv", "member\tage\theight", [f"m{u}\t{20 + u}\t1.{u}" for u in range(8)])
    table(tmp_path, "makers.csv", "product,owner", [f"p{i},m{i}" for i in range(6)])
    data = folder.read(tmp_path, "shop")
    assert follow(tmp_path, of(data, "looks.csv")).item_features.shape == (6, 2)
    assert follow(tmp_path, of(data, "ages.tsv")).user_features.shape == (8, 2)
    assert follow(tmp_path, of(data, "makers.csv")).owners.tolist() == list(range(6))


def test_what_cannot_be_told_gets_the_names_that_are_read_and_no_guess(tmp_path):
    orders(tmp_path, NUMBERS)
    table(tmp_path, "prices.csv", "product,price", [f"{i},{5 - i}" for i in range(6)])  # prices match users by chance
    table(tmp_path, "stock.csv", "a,b", ["x,y", "z,w"])
    table(tmp_path, "pairs.csv", "", [f"{u},{u % 6}" for u in range(6)])  # either kind
    (tmp_path / "notes.txt").write_bytes(b"\xff\xfe\x00 no table at all \x00")
    (tmp_path / "empty.csv").write_bytes(b"")
    said = folder.read(tmp_path, "shop").provenance.repairs
    seems = [line for line in said if " seems " in line]
    assert seems == ["prices.csv seems to hold item ids and numbers: it is read as features when called "
                     "item_features.csv"]  # fmt: skip
    assert sum(line.startswith("beside pairs these names are read: shop.links (follower, followee)") for line in said)


def test_large_files_are_not_looked_into(tmp_path, monkeypatch):
    from socialjax.data.own import unread_files

    orders(tmp_path)
    table(tmp_path, "friends.csv", "user,friend", links(WORDS))
    monkeypatch.setattr(unread_files, "LARGEST", 20)
    assert not [line for line in folder.read(tmp_path, "shop").provenance.repairs if " seems " in line]


def test_a_file_that_comes_later_is_named_although_the_pairs_were_prepared_before(tmp_path, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine").mkdir()
    orders(tmp_path / "mine")
    settings = DataSettings(name="shop", dir=tmp_path / "mine")
    assert not [line for line in load(settings).provenance.repairs if "friends.csv" in line]
    table(tmp_path / "mine", "friends.csv", "user,friend", links(WORDS))
    assert [line for line in load(settings).provenance.repairs if line.startswith("friends.csv seems")]


@pytest.mark.parametrize("word", ["val", "valid", "validation", "dev"])
def test_a_validation_part_is_read_under_each_of_its_names(tmp_path, word):
    rows = {"train": range(0, 4), word: range(4, 5), "test": range(5, 6)}
    for part, items in rows.items():
        text = "".join(f"m{u}\tp{i}\n" for u in range(8) for i in items)
        (tmp_path / f"shop.{part}.inter").write_text("user_id:token\titem_id:token\n" + text)
    data = folder.read(tmp_path, "shop")
    assert {data.item_names[item] for item in data.validation.item} == {"p4"} and len(data.train) == 32
    said = data.provenance.repairs
    assert f"shop.{word}.inter read as the validation part" in said
    assert not [line for line in said if "taken from train" in line or "not used" in line]
    (tmp_path / "shop.val.csv").write_text("m0,p4\n")
    if word != "val":
        with pytest.raises(DataError, match=rf"wanted one file, got shop\.val\.csv, shop\.{word}\.inter"):
            folder.read(tmp_path, "shop")


def test_unused_dates_and_numbers_come_with_the_option_that_would_use_them(tmp_path):
    rows = [f"m{u},p{i},2024-0{1 + i}-0{1 + u} 10:00:00,{1 + (u + i) % 5},web" for u in range(8) for i in range(6)]
    table(tmp_path, "shop.csv", "member,product,ordered_at,pieces,channel", rows)
    said = folder.read(tmp_path, "shop").provenance.repairs
    assert "columns of shop.csv not used: ordered_at, pieces, channel" in said
    assert "ordered_at holds dates: pairs are ordered by them with --data.columns time=ordered_at" in said
    assert "pieces holds numbers: if they are ratings or counts, --data.columns value=pieces" in said
    data = folder.read(tmp_path, "shop", FolderOptions(columns=("time=ordered_at", "value=pieces")))
    assert data.train.time is not None and data.train.value is not None
    assert not [line for line in data.provenance.repairs if "--data.columns" in line]
    refused = folder.read(tmp_path, "shop", FolderOptions(columns=("time=-", "value=-"))).provenance.repairs
    assert not [line for line in refused if "--data.columns" in line]


@pytest.mark.parametrize("texts", [("web", "store"), ("0", "1"), ("20000", "5"), ("", "3"), ("nan", "2")])
def test_columns_that_are_no_dates_and_no_ratings_are_not_offered(tmp_path, texts):
    rows = [f"m{u},p{i},{texts[(u + i) % 2]}" for u in range(8) for i in range(6)]
    table(tmp_path, "shop.csv", "member,product,other", rows)
    said = folder.read(tmp_path, "shop").provenance.repairs
    assert "columns of shop.csv not used: other" in said
    assert not [line for line in said if "--data.columns" in line]
