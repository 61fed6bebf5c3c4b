"""Anyone's own folder: what the README promises, one test each."""

import gzip

import numpy as np
import pytest

from socialjax.data.own import folder
from socialjax.data.own.folder import FolderOptions
from socialjax.formats.file_bytes import DataError

PEOPLE = ["zoe", "ann", "Émile", "bob", "o'neil"]


def word_pairs(seed=0, items=30, share=0.7):
    """Rows (name, item word, value, time) of five people, some items with a blank in their name."""
    rng = np.random.default_rng(seed)
    cells = [(person, f"item {n}" if n % 3 else f"i{n}") for person in PEOPLE for n in range(items)]
    return [(*cell, int(rng.integers(1, 6)), int(rng.integers(1000))) for cell in cells if rng.random() < share]


def lines(rows, separator="\t", header=None, columns=4):
    rows = [tuple(header), *rows] if header else rows
    return "".join(separator.join(map(str, row[:columns])) + "\n" for row in rows)


def all_pairs(data):
    """The pairs of all parts in the file's own ids."""
    name = data.describe_user, lambda item: item if data.item_names is None else str(data.item_names[item])
    return {(name[0](u), name[1](i)) for part in data.parts().values() for u, i in zip(part.user, part.item)}


@pytest.mark.parametrize("separator", ["\t", ","])
@pytest.mark.parametrize("ending", ["rating", "csv", "tsv", "txt", "rating.gz"])
@pytest.mark.parametrize("header", [None, ("user", "item", "rating", "timestamp")])
def test_words_as_ids_in_any_dress_give_the_same_data(tmp_path, separator, ending, header):
    content = lines(word_pairs(), separator, header).encode()
    (tmp_path / f"mine.{ending}").write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    data = folder.read(tmp_path, "mine")
    assert all_pairs(data) == {row[:2] for row in word_pairs()}
    assert data.user_names.tolist() == sorted(PEOPLE, key=lambda name: name.encode())
    assert data.links is None and data.provenance.kind == "real"
    assert {"value": data.train.value is not None, "time": data.train.time is not None} == {"value": True, "time": True}
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "mine.rating").write_text(lines(word_pairs()))
    np.testing.assert_array_equal(folder.read(plain, "mine").test.item, data.test.item)


def test_a_header_may_put_columns_in_another_order_and_name_a_time_in_the_third(tmp_path):
    rows = [(row[1], row[0], row[3], "shop") for row in word_pairs()]
    (tmp_path / "mine.csv").write_text(lines(rows, ",", ("item_id", "user_id", "time", "where")))
    data = folder.read(tmp_path, "mine", FolderOptions(split="time"))
    assert all_pairs(data) == {row[:2] for row in word_pairs()}
    assert data.train.value is None and data.train.time.max() < data.test.time.min()
    assert "columns of mine.csv not used: where" in data.provenance.repairs


def test_published_form_is_kept_as_it_is(tmp_path):
    for part, text in {"train": "0\t3\t1\n2\t1\t1\n1\t2\t1\n", "val": "0\t1\t1\n", "test": "2\t0\t1\n"}.items():
        (tmp_path / f"mine.{part}.rating").write_text(text)
    (tmp_path / "mine.links").write_text("0\t2\t1\n3\t0\t1\n3\t3\t1\n")
    (tmp_path / "mine.items").write_text("0\tNought, and more\n3\tThree\n99\tunknown\n")
    data = folder.read(tmp_path, "mine")
    assert (data.num_users, data.num_items) == (4, 4)  # ids 0, 1, 2, ... without a gap: row numbers
    assert data.user_names is None and data.item_names is None
    assert (data.train.user.tolist(), data.train.item.tolist(), data.train.value) == ([0, 2, 1], [3, 1, 2], None)
    assert (data.links.follower.tolist(), data.links.followee.tolist()) == ([0, 3], [2, 0])
    assert data.item_titles.tolist() == ["Nought, and more", "", "", "Three"]
    assert data.describe_item(3) == "Three" and data.describe_item(2) == "2"
    assert "1 self links dropped" in data.provenance.repairs


def test_sparse_integers_are_compacted_in_order_of_number_and_keep_their_names(tmp_path):
    text = "".join(f"{user}\t{item}\n" for user in (1000, 7) for item in (900, 1, 20, 5, 30, 31, 32))
    (tmp_path / "mine.rating").write_text(text)
    data = folder.read(tmp_path, "mine")
    assert data.user_names.tolist() == ["7", "1000"]
    assert data.item_names.tolist() == ["1", "5", "20", "30", "31", "32", "900"]
    assert all_pairs(data) == {(u, i) for u in data.user_names for i in data.item_names}


def test_leading_zeros_make_words_of_numbers(tmp_path):
    rows = [(user, item) for user in ("007", "7") for item in range(8)]
    (tmp_path / "mine.rating").write_text(lines(rows))
    assert folder.read(tmp_path, "mine").user_names.tolist() == ["7", "007"]  # the shorter first


def test_feature_tables_keep_ids_as_rows_and_must_have_a_row_for_each(tmp_path):
    rows = [(user, item) for user in (3, 50) for item in (0, 90, 1, 2, 3, 4, 5)]
    (tmp_path / "mine.rating").write_text(lines(rows))
    np.save(tmp_path / "user_vector.npy", np.eye(60, dtype=np.float32))
    data = folder.read(tmp_path, "mine")
    assert data.num_users == 60 and data.user_names is None and set(data.train.user.tolist()) == {3, 50}
    assert data.item_names is not None  # no table for items: compacted
    np.save(tmp_path / "user_vector.npy", np.eye(50, dtype=np.float32))
    with pytest.raises(DataError, match=r"mine\.rating, line 8: wanted the number of one of the 50 rows"):
        folder.read(tmp_path, "mine")
    (tmp_path / "mine.rating").write_text(lines(word_pairs()))
    with pytest.raises(DataError, match=r"mine\.rating, line 1: wanted the number of .* got 'zoe'; number the users"):
        folder.read(tmp_path, "mine")


def test_links_bring_users_without_pairs_and_titles_go_by_the_files_ids(tmp_path):
    (tmp_path / "mine.csv").write_text(lines(word_pairs(), ","))
    (tmp_path / "mine.links").write_text("follower,followee\nann,zoe\nzoe,lurker\nann,zoe\n")
    (tmp_path / "mine.items").write_text('i0,"The First, or ""Zero"""\nitem 1,One\n')
    data = folder.read(tmp_path, "mine")
    assert "lurker" in data.user_names.tolist()
    named = [(data.describe_user(a), data.describe_user(b)) for a, b in zip(data.links.follower, data.links.followee)]
    assert named == [("ann", "zoe"), ("zoe", "lurker")]
    assert data.describe_item(data.item_names.tolist().index("i0")) == 'The First, or "Zero"'
    assert data.describe_item(data.item_names.tolist().index("i3")) == "i3"
    assert {"mine.csv", "mine.links", "mine.items"} == set(data.provenance.files)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("", ("ann", "zoe")), ("user\tfriend\n", ("ann", "zoe")), ("followee\tfollower\n", ("zoe", "ann"))],
)
def test_a_header_of_links_says_who_follows(tmp_path, header, expected):
    (tmp_path / "mine.rating").write_text(lines(word_pairs()))
    (tmp_path / "mine.links").write_text(header + "ann\tzoe\n")
    data = folder.read(tmp_path, "mine")
    assert [data.describe_user(u[0]) for u in (data.links.follower, data.links.followee)] == list(expected)


@pytest.mark.parametrize("how", ["ratio", "leave-one-out", "time"])
def test_each_split_holds_all_pairs_and_comes_out_the_same_for_shuffled_lines(tmp_path, how):
    rows = word_pairs()
    shares = {} if how == "leave-one-out" else {"ratios": (0.1, 0.2)}
    options = FolderOptions(split=how, seed=5, **shares)
    (tmp_path / "mine.rating").write_text(lines(rows))
    data = folder.read(tmp_path, "mine", options)
    assert len(data.train) + len(data.validation) + len(data.test) == len(rows)
    if how == "leave-one-out":
        last = {max((row for row in rows if row[0] == person), key=lambda row: row[3])[:2] for person in PEOPLE}
        assert {
            (data.describe_user(u), str(data.item_names[i])) for u, i in zip(data.test.user, data.test.item)
        } == last
    (tmp_path / "mine.rating").write_text(lines([rows[k] for k in np.random.default_rng(0).permutation(len(rows))]))
    again = folder.read(tmp_path, "mine", options)
    assert set(zip(again.test.user.tolist(), again.test.item.tolist())) == set(
        zip(data.test.user.tolist(), data.test.item.tolist())
    )
    assert any(f"one file split by {how}" in line for line in data.provenance.repairs)


def test_each_user_is_tested_unless_a_split_by_ratio_is_asked_for(tmp_path):
    rows = [(user, item) for user in range(5) for item in (user, user + 1, user + 2)]
    (tmp_path / "mine.rating").write_text(lines(rows))
    data = folder.read(tmp_path, "mine")
    assert (len(data.train), len(data.validation), len(data.test)) == (5, 5, 5)
    assert "one file split by leave-one-out, the last of each user at random, seed 0" in data.provenance.repairs
    assert data.provenance.repairs[-2:] == (
        "test: 5 of 5 users with two pairs or more",
        "validation: 5 pairs, 33.3%, of 5 users",
    )
    with pytest.raises(DataError, match="wanted test pairs, got none from a split by ratio"):
        folder.read(tmp_path, "mine", FolderOptions(split="ratio"))


def test_threshold_and_core_drop_pairs_and_the_users_and_links_with_them(tmp_path):
    rows = [(user, item, 5) for user in "abcd" for item in "pqrst"] + [("x", "p", 5), ("a", "u", 5), ("b", "v", 2)]
    (tmp_path / "mine.rating").write_text(lines(rows, columns=3))
    (tmp_path / "mine.links").write_text("a b\nx a\n")
    data = folder.read(tmp_path, "mine", FolderOptions(k_core=4, min_value=3.0))
    assert (data.user_names.tolist(), data.item_names.tolist()) == (list("abcd"), list("pqrst"))
    assert all_pairs(data) == {row[:2] for row in rows[:20]}
    assert len(data.links) == 1
    said = "\n".join(data.provenance.repairs)
    assert "1 pairs with a value below 3 dropped" in said and "2 pairs outside the 4-core dropped" in said
    assert "1 links of users outside the 4-core dropped" in said
    with pytest.raises(DataError, match="wanted pairs, got none"):
        folder.read(tmp_path, "mine", FolderOptions(k_core=6))


def test_cold_items_are_in_test_only(tmp_path):
    (tmp_path / "mine.rating").write_text(lines(word_pairs()))
    data = folder.read(tmp_path, "mine", FolderOptions(cold_items=0.2))
    known = set(data.train.item.tolist()) | set(data.validation.item.tolist())
    assert len(set(data.test.item.tolist()) - known) == 6


def test_missing_validation_is_made_from_train_or_left_out(tmp_path):
    rows = [(user, item) for user in range(4) for item in range(40)]
    (tmp_path / "mine.train.rating").write_text(lines(rows[:150]))
    (tmp_path / "mine.test.rating").write_text(lines(rows[150:]))
    data = folder.read(tmp_path, "mine")
    assert (len(data.train), len(data.validation), len(data.test)) == (142, 8, 10)  # 5 % of each are 2 + 2 + 2 + 1
    assert any("no validation given: 8 pairs taken from train" in line for line in data.provenance.repairs)
    data = folder.read(tmp_path, "mine", FolderOptions(validation="none"))
    assert (len(data.train), len(data.validation)) == (150, 0)
    (tmp_path / "mine.val.rating").write_text("0 77\n")
    assert len(folder.read(tmp_path, "mine").validation) == 1
    data = folder.read(tmp_path, "mine", FolderOptions(validation="none"))
    assert (len(data.train), len(data.validation)) == (151, 0)


def test_an_asked_split_means_the_unsplit_file_beside_the_parts(tmp_path):
    (tmp_path / "mine.rating").write_text(lines(word_pairs()))
    (tmp_path / "mine.train.rating").write_text("ann tea\nann milk\n")
    (tmp_path / "mine.test.rating").write_text("ann coffee\n")
    assert len(folder.read(tmp_path, "mine").test) == 1
    assert len(folder.read(tmp_path, "mine", FolderOptions(split="ratio")).test) > 1
    (tmp_path / "mine.rating").unlink()
    with pytest.raises(DataError, match="the files are split already"):
        folder.read(tmp_path, "mine", FolderOptions(split="ratio"))
    with pytest.raises(DataError, match="need one unsplit file"):
        folder.read(tmp_path, "mine", FolderOptions(k_core=2))


def test_duplicates_are_dropped_and_leaks_between_parts_refused(tmp_path):
    (tmp_path / "mine.train.rating").write_text("0 0 2\n0 1 3\n0 0 4\n1 1 5\n")
    (tmp_path / "mine.test.rating").write_text("1 0 5\n")
    data = folder.read(tmp_path, "mine", FolderOptions(validation="none"))
    assert sorted(data.train.value.tolist()) == [3, 4, 5]  # without times, the largest value
    assert data.provenance.repairs[0] == "1 duplicate pairs of mine.train.rating dropped, one of each kept"
    (tmp_path / "mine.test.rating").write_text("1 0 5\n1 1 5\n")
    with pytest.raises(DataError, match="pairs of test that are in train too, got 1"):
        folder.read(tmp_path, "mine")


def test_files_that_lack_or_compete_are_named(tmp_path):
    with pytest.raises(DataError, match=r"wanted mine\.train\.rating .* got none of them"):
        folder.read(tmp_path, "mine")
    (tmp_path / "mine.train.rating").write_text("0 0\n")
    with pytest.raises(DataError, match=r"got mine\.train\.rating; the folder has mine\.train\.rating; rename"):
        folder.read(tmp_path, "mine")
    (tmp_path / "mine.train.csv").write_text("0 0\n")
    with pytest.raises(DataError, match=r"wanted one file, got mine\.train\.rating, mine\.train\.csv"):
        folder.read(tmp_path, "mine")
    with pytest.raises(DataError, match="is not a folder"):
        folder.read(tmp_path / "nowhere", "mine")


@pytest.mark.parametrize(
    "wrong",
    [{"split": "random"}, {"ratios": (0.5, 0.6)}, {"k_core": -1}, {"cold_items": 1.0}, {"min_value": float("nan")}],
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(DataError, match="must be"):
        FolderOptions(**wrong)


@pytest.mark.parametrize(
    ("texts", "note"),
    [
        (("5", "2014-03-01"), None),
        (("2014-03-01", "soon"), None),
        (("1393632000", "1393718400"), ""),
        (("1393632000000", "1393718400000"), "times of mine.csv taken as milliseconds"),
        (("1393632000000000001", "1393718400000000001"), "times of mine.csv taken as nanoseconds"),
        (("2014-03-01", "2014-03-02"), "times of mine.csv read as dates, in UTC where they name no time zone"),
        (("2014-03-01 00:00:00.5", "2014-03-02T00:00:00"), "times of mine.csv read as dates, in UTC"),
        (("2014-03-01T01:00:00+01:00", "2014-03-02T00:00:00Z"), "times of mine.csv read as dates, in UTC"),
    ],
)
def test_times_are_seconds_or_dates(tmp_path, texts, note):
    """1393632000 is midnight of 2014-03-01, UTC."""
    (tmp_path / "mine.csv").write_text(f"user,item,time\na,b,{texts[0]}\na,c,{texts[1]}\n")
    if note is None:
        with pytest.raises(DataError, match=rf"mine\.csv, line [23]: wanted a time, .* got '{texts[1]}'"):
            folder.read(tmp_path, "mine")
        data = folder.read(tmp_path, "mine", FolderOptions(columns=("time=-",)))
        assert data.train.time is None
        return
    data = folder.read(tmp_path, "mine")
    assert (data.train.time.tolist(), data.test.time.tolist()) == ([1393632000], [1393718400])
    assert not note or any(line.startswith(note) for line in data.provenance.repairs)
