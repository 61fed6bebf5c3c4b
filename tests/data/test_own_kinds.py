"""What holds for any data of one's own: each kind of silent damage, with the property that rules it out."""

import dataclasses
import itertools
import os

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from socialjax.data.own import folder
from socialjax.data.own.folder import from_frames
from socialjax.data.own.options import FolderOptions
from socialjax.data.sources import DataSettings, load
from socialjax.formats.file_bytes import DataError

RENAMED = {
    "from 1": lambda n: str(n + 1),
    "with gaps": lambda n: str(3 * n + 100),
    "words": lambda n: f"u{n}",
    "padded": lambda n: f"{n:05d}",
}


def some_pairs(seed, users=9, items=14):
    """Random pairs with values; some users and items are rare, so that thresholds and cores drop them."""
    rng = np.random.default_rng(seed)
    rows = [(u, i, int(rng.integers(1, 6))) for u in range(users) for i in range(items) if rng.random() < 0.5]
    return [*rows, (users, items + 3, 1), (users + 1, 0, 5)]


def read(where, rows, options=None, name="mine.rating", **files):
    where.mkdir(exist_ok=True, parents=True)
    for old in where.iterdir():
        old.unlink()
    (where / name).write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    for file, text in files.items():
        (where / file.replace("__", ".")).write_text(text)
    return folder.read(where, "mine", options or FolderOptions())


def columns(data):
    return [
        (part.user.tolist(), part.item.tolist(), None if part.value is None else part.value.tolist())
        for part in (part.take(np.lexsort((part.item, part.user))) for part in data.parts().values())
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "options", [{}, {"k_core": 3}, {"min_value": 3}, {"min_value": 2, "k_core": 2, "seed": 7}, {"cold_items": 0.2}]
)
def test_only_who_occurs_counts_and_no_figure_depends_on_how_ids_are_written(tmp_path, seed, options):
    options = FolderOptions(**options)
    rows = some_pairs(seed)
    data = read(tmp_path, rows, options)
    for column, size in (("user", data.num_users), ("item", data.num_items)):
        occur = np.unique(np.concatenate([getattr(part, column) for part in data.parts().values()]))
        np.testing.assert_array_equal(occur, np.arange(size))
    for rename in RENAMED.values():
        other = read(tmp_path, [(rename(u), rename(i), v) for u, i, v in rows], options)
        assert (other.num_users, other.num_items) == (data.num_users, data.num_items)
        assert columns(other) == columns(data)
    turned = [rows[k] for k in np.random.default_rng(seed).permutation(len(rows))]
    assert columns(read(tmp_path, turned, options)) == columns(data)


@pytest.mark.parametrize("header", ["member_code,sku_nr,grade", "a,b,c", "customerkey,thing,liked"])
def test_under_a_header_of_unknown_names_nothing_is_guessed(tmp_path, header):
    text = header + "\n" + "".join(f"m{u},p{i},{1 + (u + i) % 5}\n" for u in range(4) for i in range(4))
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(
        DataError, match=rf"mine\.csv: wanted columns of user and item, got {header.replace(',', ', ')}"
    ):
        folder.read(tmp_path, "mine")
    user, item, value = header.split(",")
    for names in ((f"user={user}", f"item={item}", f"value={value}"), ("user=1", "item=2", "value=3")):
        data = folder.read(tmp_path, "mine", FolderOptions(columns=names, min_value=3))
        assert data.num_users == 4 and sum(map(len, data.parts().values())) == 10
    with pytest.raises(DataError, match="names a column that is not there"):
        folder.read(tmp_path, "mine", FolderOptions(columns=("user=nobody", f"item={item}")))


def test_two_columns_that_may_be_the_item_are_to_be_told_apart(tmp_path):
    (tmp_path / "mine.csv").write_text("user_id,asin,parent_asin\nu1,a1,p1\nu1,a2,p1\nu1,a3,p2\n")
    with pytest.raises(DataError, match=r"got asin and parent_asin; say which: --data\.columns item=asin"):
        folder.read(tmp_path, "mine")
    assert folder.read(tmp_path, "mine", FolderOptions(columns=("item=parent_asin",))).num_items == 2


@pytest.mark.parametrize("wrong", [("user",), ("who=a",), ("user=a", "user=b"), ("user=",)])
def test_columns_are_named_by_role(wrong):
    with pytest.raises(DataError, match="wants ROLE=COLUMN"):
        FolderOptions(columns=wrong)


@pytest.mark.parametrize("text", ["u1 i1\nu1 i2\nu1 i3\n", "User,Item,Grade\nu1,i1,4\nu1,i2,2\nu1,i3,5\n"])
def test_what_needs_a_column_that_is_not_there_is_refused(tmp_path, text):
    (tmp_path / "mine.rating").write_text(text)
    with pytest.raises(DataError, match=r"--data.min-value 4 needs a column of values, got columns .*; name it"):
        folder.read(tmp_path, "mine", FolderOptions(min_value=4))
    with pytest.raises(DataError, match=r"a split by time needs a time column, got columns .*; name it"):
        folder.read(tmp_path, "mine", FolderOptions(split="time"))


@pytest.mark.parametrize("seed", range(3))
def test_which_of_several_lines_counts_does_not_depend_on_their_order(tmp_path, seed):
    rng = np.random.default_rng(seed)
    rows = [
        (u, i, int(rng.integers(1, 6)), int(rng.integers(50))) for u in range(5) for i in range(6) for _ in range(3)
    ]
    for which, best in (("first", min), ("last", max)):
        options = FolderOptions(repeats=which)
        data = read(tmp_path, rows, options)
        for part in data.parts().values():
            for u, i, value, time in zip(*(column.tolist() for column in part.columns())):
                mine = [row[2:] for row in rows if row[:2] == (u, i)]
                assert time == best(t for _, t in mine)
                assert value == max(v for v, t in mine if t == time)
        turned = [rows[k] for k in rng.permutation(len(rows))]
        assert columns(read(tmp_path, turned, options)) == columns(data)


PAIRS = [(f"u{u}", f"i{i}", 5) for u in range(6) for i in range(u, u + 5)]
PLAIN = FolderOptions()


def test_joins_state_what_matched_and_fail_where_nothing_does(tmp_path):
    links = "".join(f"u{a} u{(a + 1) % 8}\n" for a in range(8))
    titles = "item,title\n" + "".join(f'i{i},"Film, the {i}th"\n' for i in range(12))
    data = read(tmp_path, PAIRS, mine__links=links, mine__items=titles)
    stated = data.provenance.repairs
    assert "5 of 8 lines of mine.links join two users with pairs" in stated
    assert "titles of mine.items: 10 of 10 items have one" in stated
    assert data.item_titles[0] == "Film, the 0th"
    few = read(tmp_path, PAIRS, mine__links="u0 u1\nx1 x2\nx3 x4\n").provenance.repairs
    assert any(line.startswith("1 of 3 lines of mine.links join two users with pairs, less than half") for line in few)
    for file, text in (("mine__links", "0 1\n2 3\n"), ("mine__items", "0 zero\n1 one\n"), ("mine__owners", "0 u1\n")):
        with pytest.raises(DataError, match=rf"{file.replace('__', '.')}: wanted .* got none"):
            read(tmp_path, PAIRS, **{file: text})


def test_features_join_by_id_whichever_way_they_come(tmp_path):
    ids = [f"i{i}" for i in (7, 3, 9, 0, 1, 2, 4, 5, 6, 8, 99)]
    numbers = np.random.default_rng(0).normal(size=(len(ids), 3)).astype(np.float32)
    table = pa.table({"item_id": ids} | {f"f{k}": numbers[:, k] for k in range(3)})
    read(tmp_path / "mine", PAIRS)
    expected = dict(zip(ids, numbers.tolist()))

    def check(data):
        assert [expected[name] for name in data.item_names.tolist()] == data.item_features.tolist()
        assert any("10 of 10 items have some, 1 rows not used" in line for line in data.provenance.repairs)

    np.savez(tmp_path / "f.npz", ids=np.array(ids), features=numbers)
    csv.write_csv(table, tmp_path / "f.csv")
    parquet.write_table(table, tmp_path / "f.parquet")
    settings = DataSettings(name="mine", dir=tmp_path / "mine", offline=True)
    for ending in ("npz", "csv", "parquet"):
        check(load(dataclasses.replace(settings, features=tmp_path / f"f.{ending}")))
        (tmp_path / "mine" / f"item_features.{ending}").write_bytes((tmp_path / f"f.{ending}").read_bytes())
        check(folder.read(tmp_path / "mine", "mine"))
        (tmp_path / "mine" / f"item_features.{ending}").unlink()
    check(from_frames(pa.table({"user": [r[0] for r in PAIRS], "item": [r[1] for r in PAIRS]}), item_features=table))
    np.save(tmp_path / "f.npy", numbers[:10])
    with pytest.raises(DataError, match=r"wanted features with ids, since ids of items .* are words \('i0'\)"):
        load(dataclasses.replace(settings, features=tmp_path / "f.npy"))
    np.savez(tmp_path / "f.npz", ids=np.arange(11), features=numbers)
    with pytest.raises(DataError, match="wanted features of items that occur in pairs, got none; ids there are 0, 1"):
        load(dataclasses.replace(settings, features=tmp_path / "f.npz"))


def test_frames_and_arrays_pass_the_same_checks_as_files(tmp_path):
    rows = [(f"u{u}", f"i{i}", float(v), 1_000 * u + i) for u, i, v in some_pairs(3)]
    links = [("u0", "u1"), ("u3", "u2"), ("u99", "u1")]
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    folder_of = tmp_path / "mine"
    folder_of.mkdir()
    (folder_of / "mine.rating").write_text(text)
    (folder_of / "mine.links").write_text("".join(" ".join(link) + "\n" for link in links))
    expected = folder.read(folder_of, "mine", FolderOptions(min_value=2))
    users, items, values, times = (np.array(column) for column in zip(*rows))
    arrays = {"user": users, "item": items, "value": values, "time": times}
    linked = {"follower": [a for a, _ in links], "followee": [b for _, b in links]}
    dates = times.astype("datetime64[s]").astype("datetime64[us]")
    for pairs in (arrays, pa.table(arrays), arrays | {"time": dates}, pa.table(arrays | {"time": dates})):
        data = from_frames(pairs, links=linked, options=FolderOptions(min_value=2))
        assert columns(data) == columns(expected)
        assert data.user_names.tolist() == expected.user_names.tolist()
        np.testing.assert_array_equal(data.links.follower, expected.links.follower)
    assert columns(from_frames((users, items, values, times), options=FolderOptions(min_value=2))) == columns(
        folder.read(folder_of, "mine", FolderOptions(min_value=2))
    )
    with pytest.raises(DataError, match="wanted a pandas or Polars frame"):
        from_frames({"user": [1, 2], "item": [1]})
    with pytest.raises(DataError, match="got none of 1; users of pairs are called"):
        from_frames(arrays, links={"follower": [5], "followee": [6]})
    with pytest.raises(DataError, match="line 2: wanted a user id of 1 to 256 bytes, got ''"):
        from_frames({"user": ["a", None], "item": ["x", "y"]})


@pytest.mark.parametrize("library", [pandas, polars])
def test_frames_of_pandas_and_polars_are_those_of_arrays(library):
    rows = [(f"u{u}", f"i{i}", float(v), 1_300_000_000 + 1_000 * u + i) for u, i, v in some_pairs(5)]
    columns_of = dict(zip(("user_id", "item_id", "rating", "timestamp"), map(list, zip(*rows))))
    expected = columns(from_frames(tuple(np.array(column) for column in columns_of.values())))
    frame = library.DataFrame(columns_of)
    if library is pandas:
        moments = pandas.to_datetime(frame["timestamp"], unit="s")
        frames = [
            frame,
            frame.set_index(frame.index + 7),
            frame.assign(timestamp=moments),
            frame.assign(timestamp=moments.dt.tz_localize("UTC")),
            frame.assign(user_id=frame["user_id"].astype("category")),
            frame.sample(frac=1, random_state=1),
        ]
    else:
        frames = [frame, frame.with_columns(polars.from_epoch("timestamp", time_unit="s")), frame[::-1]]
    for each in frames:
        assert columns(from_frames(each)) == expected
    features = library.DataFrame({"item_id": [f"i{k}" for k in range(30)][::-1], "size": np.arange(30.0)[::-1]})
    data = from_frames(frame, item_features=features)
    assert data.item_features[:, 0].tolist() == [float(name[1:]) for name in data.item_names.tolist()]


def test_values_of_0_and_1_and_links_of_no_trust_have_two_readings(tmp_path):
    rows = [(u, i, (u + i) % 2) for u in range(4) for i in range(5)]
    for low in (0, -1, -10):  # not clicked, disliked, a scale around 0
        signed = [(u, i, low if value == 0 else value) for u, i, value in rows]
        with pytest.raises(DataError, match=r"got 10 of 0 or below in 20 pairs; .* \(--data\.min-value 1\)"):
            read(tmp_path, signed)
        assert sum(map(len, read(tmp_path, signed, FolderOptions(min_value=1)).parts().values())) == 10
    assert sum(map(len, read(tmp_path, rows, FolderOptions(min_value=1)).parts().values())) == 10
    assert sum(map(len, read(tmp_path, rows, FolderOptions(columns=("value=-",))).parts().values())) == 20
    links = "u0 u1 1\nu1 u2 -1\n"
    with pytest.raises(DataError, match=r"mine\.links, line 2: wanted links with a value above 0, got '-1'"):
        read(tmp_path, PAIRS, mine__links=links)
    with pytest.raises(DataError, match=r"value=9 names a column that is not there"):
        read(tmp_path, rows, FolderOptions(columns=("value=9",)))


@pytest.mark.parametrize("users", [10, 60, 1000])
@pytest.mark.parametrize("mean", [3, 9, 30])
@pytest.mark.parametrize("times", [False, True])
def test_the_default_split_tests_nearly_everybody_and_validates_on_enough(tmp_path, users, mean, times):
    rng = np.random.default_rng(users + mean)
    rows = []
    for user in range(users):
        for item in rng.choice(200, size=min(2 + rng.poisson(mean - 2), 150), replace=False):
            rows.append((user, int(item), 5, int(rng.integers(10**9)))[: 4 if times else 2])
    data = read(tmp_path, rows)
    count = sum(np.bincount(part.user, minlength=data.num_users) for part in data.parts().values())
    tested = np.bincount(data.test.user, minlength=data.num_users) > 0
    assert (tested & (count >= 2)).sum() >= 0.9 * (count >= 2).sum()
    assert np.bincount(data.train.user, minlength=data.num_users).min() >= 1
    reached = len(data.validation) >= min(200, 0.05 * count.sum())
    assert reached or any("a matter of chance" in line for line in data.provenance.repairs)
    assert reached or mean == 3
    if times:
        for user in range(data.num_users):
            of = [part.time[part.user == user] for part in data.parts().values()]
            assert all(a.max() <= b.min() for a, b in itertools.pairwise(of) if len(a) and len(b))


def test_shares_mean_what_they_say(tmp_path):
    rows = [(u, i) for u in range(10) for i in range(20)]
    data = read(tmp_path, rows, FolderOptions(split="ratio", ratios=(0.0, 0.2)))
    assert [len(part) for part in data.parts().values()] == [160, 0, 40]
    with pytest.raises(DataError, match="wanted test pairs, got none"):
        read(tmp_path, rows, FolderOptions(split="ratio", ratios=(0.2, 0.0)))
    with pytest.raises(DataError, match="ratios have no effect on a split by leave-one-out"):
        FolderOptions(split="leave-one-out", ratios=(0.3, 0.3))
    changed = read(tmp_path, rows, FolderOptions(ratios=(0.1, 0.3)))
    assert [len(part) for part in changed.parts().values()] == [120, 20, 60]


def test_users_without_training_pairs_are_stated_and_may_be_left_out(tmp_path):
    rows = [(u, i, 5, 100 * u + i) for u in range(10) for i in range(10)]
    data = read(tmp_path, rows, FolderOptions(split="time", ratios=(0.05, 0.2)))
    assert any("20 of 20 test pairs, of 2 users without" in line for line in data.provenance.repairs)
    with pytest.raises(DataError, match="wanted test pairs of users with training pairs, got none"):
        read(tmp_path, rows, FolderOptions(split="time", ratios=(0.05, 0.2), cold_users="drop"))
    rows += [(0, 11, 5, 2000), (1, 12, 5, 2001)]
    kept = read(tmp_path, rows, FolderOptions(split="time", ratios=(0.05, 0.2), cold_users="drop"))
    assert set(kept.test.user.tolist()) == {0, 1}


def test_a_column_of_parts_splits_as_it_says(tmp_path):
    rows = [(u, i, 0 if i < 6 else i - 5) for u in range(5) for i in range(8)]
    text = "userID\titemID\tx_label\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows)
    (tmp_path / "mine.inter").write_text(text)
    data = folder.read(tmp_path, "mine")
    assert [len(part) for part in data.parts().values()] == [30, 5, 5]
    assert set(data.validation.item.tolist()) == {6} and set(data.test.item.tolist()) == {7}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mine.txt", '{"user": "u1", "item": "i3"}\n{"user": "u1", "item": \n', r"mine\.txt, line 2: wanted JSON"),
        ("mine.txt", "{'user': 'u1', 'item': 'i3'}\n", r"mine\.txt, line 1: wanted JSON, one object a line"),
        ("mine.json", '["u1", "i3"]\n', r"mine\.json, line 1: wanted a JSON object"),
        (
            "mine.csv",
            "u1,i1,4\nu1,i2\n",
            r"mine\.csv, line 2: wanted 3 columns as in line 1, separated by comma, got 2",
        ),
        ("mine.csv", "one\ntwo\nthree\n", r"mine\.csv, line 1: wanted 2 to 4 columns"),
        ("mine.csv", "1;2;3,5\n1;3;4,5\n", r"mine\.csv, line 1: wanted a value, a finite number, got '3,5'"),
        ("mine.csv", "# all\n% comments\n", r"mine\.csv: wanted rows, got 2 lines of comments alone"),
        ("mine.csv", "user,item,rating\nu1,i1,\n", r"mine\.csv, line 2: wanted a value, a finite number, got ''"),
        ("theirs.inter", "1 2\n", "got none of them; the folder has theirs.inter; rename the file"),
        ("mine.mat", "MATLAB", r"the folder has mine\.mat \(no text table: export it as CSV\); rename the file"),
        ("mine.dat", "2 7 9\n4 1 3 5 6\n1 2\n3 1 2 4\n", "look like lists of items: write `user item`"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as error:
        folder.read(tmp_path, "mine")
    assert "; " in str(error.value) and "\n" not in str(error.value)


def test_text_in_another_encoding_is_read_on_request(tmp_path):
    (tmp_path / "mine.csv").write_bytes("José,é1\nJosé,é2\nAna,é1\nAna,é2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 1: wanted UTF-8 text, .* name its encoding: --data.encoding latin-1"):
        folder.read(tmp_path, "mine")
    data = folder.read(tmp_path, "mine", FolderOptions(encoding="latin-1"))
    assert data.user_names.tolist() == ["Ana", "José"]
    with pytest.raises(DataError, match="is no encoding that Python knows"):
        folder.read(tmp_path, "mine", FolderOptions(encoding="klingon"))


def test_files_that_nobody_reads_are_named(tmp_path):
    data = read(tmp_path, PAIRS, friends__csv="a,b\n")
    assert "files of the folder not used: friends.csv" in data.provenance.repairs


@pytest.mark.parametrize("kind", ["a link that leads nowhere", "a folder", "a pipe or device"])
@pytest.mark.parametrize("file", ["mine.links", "mine.items", "mine.owners", "mine.rating", "item_features.csv"])
def test_what_is_there_and_no_file_is_not_passed_over(tmp_path, file, kind):
    if file != "mine.rating":
        (tmp_path / "mine.rating").write_text("".join(f"{row[0]} {row[1]}\n" for row in PAIRS))
    {
        "a link that leads nowhere": lambda path: path.symlink_to(tmp_path / "gone"),
        "a folder": lambda path: path.mkdir(),
        "a pipe or device": os.mkfifo,
    }[kind](tmp_path / file)
    with pytest.raises(DataError, match=f"{file}: wanted a file, got {kind}; take it away"):
        folder.read(tmp_path, "mine")


def test_columns_that_are_named_for_the_pairs_are_sought_there_alone(tmp_path):
    """Links, titles and owners have columns of their own, and numbers count those of the table of pairs."""
    (tmp_path / "mine.csv").write_text(
        "who;what;grade\n" + "".join(f"u{u};i{(u + k) % 7};{k}\n" for u in range(6) for k in range(1, 5))
    )
    (tmp_path / "mine.links").write_text("from,to\n" + "".join(f"u{u},u{(u + 1) % 6}\n" for u in range(6)))
    (tmp_path / "mine.items").write_text("item,title\n" + "".join(f"i{i},Film {i}\n" for i in range(7)))
    (tmp_path / "mine.owners").write_text("item,owner\n" + "".join(f"i{i},u{i % 6}\n" for i in range(7)))
    by_name, by_number = ("user=who", "item=what", "value=grade"), ("user=1", "item=2", "value=3")
    read = [folder.read(tmp_path, "mine", FolderOptions(columns=columns)) for columns in (by_name, by_number)]
    for data in read:
        assert (
            len(data.links) == 6 and data.item_titles[2] == "Film 2" and data.owners.tolist() == [0, 1, 2, 3, 4, 5, 0]
        )
    (tmp_path / "mine.items").write_text("item,what,title\n" + "".join(f"{i},i{i},Film {i}\n" for i in range(7)))
    assert folder.read(tmp_path, "mine", FolderOptions(columns=by_name)).item_titles[2] == "Film 2"
    with pytest.raises(DataError, match=r"mine\.csv: --data.columns value=stars names a column that is not there"):
        folder.read(tmp_path, "mine", FolderOptions(columns=("user=who", "item=what", "value=stars")))
    with pytest.raises(
        DataError, match=r"mine\.links: --data.columns follower=nobody names a column that is not there"
    ):
        folder.read(tmp_path, "mine", FolderOptions(columns=(*by_name, "follower=nobody")))
