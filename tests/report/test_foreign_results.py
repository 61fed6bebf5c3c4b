"""Finished runs from somebody else: kept below the folder of kept runs, as they were measured, or one clear line."""

import csv
import io
import json
import os
import shutil
import struct
import zipfile

import numpy as np
import pytest

from socialjax import npz_files
from socialjax.commands import tables
from socialjax.eval.metrics import escaped, markdown_table
from socialjax.npz_files import NpzError
from socialjax.report.gather import HEAD, as_csv
from socialjax.report.keep import sha256

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture
def theirs(finished_runs, tmp_path):
    """A copy of the run of BPR, in the hands of somebody else."""
    return shutil.copytree(finished_runs["bpr"], tmp_path / "theirs")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home" / "kept"


@pytest.fixture
def refused(tmp_path, home, theirs, capsys):
    """refused() -> what `tables keep` says: one line, exit 1; nothing is written anywhere."""

    def refused(*more):
        before = sorted(map(str, tmp_path.rglob("*")))
        assert tables.main(["keep", str(theirs), "--kept", str(home), "--dirty-ok", *more]) == 1
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1 and len(err) < 1000, err
        assert sorted(map(str, tmp_path.rglob("*"))) == before
        return err

    return refused


def edit(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def put(**values):
    return lambda record: record.update(values)


def in_metric(**values):
    return lambda record: record["metrics"]["HR@10"].update(values)


RESULTS = {
    "upwards": (put(dataset="../../.."), "wanted the name of a data set"),
    "one upwards": (put(dataset=".."), "wanted the name of a data set"),
    "absolute": (put(dataset="/tmp/anywhere/at/all"), "wanted the name of a data set"),
    "below": (put(dataset="a/b"), "wanted the name of a data set"),
    "hidden": (put(dataset=".ssh"), "wanted the name of a data set"),
    "long": (put(dataset="x" * 3000), "wanted the name of a data set"),
    "a dict": (put(dataset={}), "dataset wants a text, got a dict"),
    "model upwards": (put(model="../x"), "wanted the name of a model"),
    "model a number": (put(model=5), "model wants a text, got 5"),
    "preset upwards": (lambda r: r["settings"].update(preset="../../x"), "wanted the name of a preset"),
    "preset a number": (lambda r: r["settings"].update(preset=3), "settings.preset wants a text or null, got 3"),
    "commit null": (put(commit=None), "commit wants a text, got None"),
    "settings null": (put(settings=None), "settings wants a record, got None"),
    "metrics null": (put(metrics=None), "metrics wants a record"),
    "a metric null": (lambda r: r["metrics"].update({"HR@10": None}), "metrics.HR@10 wants a record"),
    "references null": (put(references=None), "references wants a record"),
    "references texts": (put(references={"popularity": {"HR@10": "x"}}), "references.popularity.HR@10 wants a number"),
    "groups null": (put(groups=None), "groups wants a list"),
    "groups empty": (put(groups=[]), "groups wants those of each seed"),
    "no seeds": (put(seeds=[]), "seeds wants 1 to 1000 different numbers"),
    "seeds twice": (put(seeds=[0, 0]), "seeds wants 1 to 1000 different numbers"),
    "seeds with a path": (put(seeds=["../0"]), "seeds[0] wants a whole number"),
    "seeds true": (put(seeds=[True]), "seeds[0] wants a whole number"),
    "a seed below 0": (put(seeds=[-1]), "seeds wants 1 to 1000 different numbers"),
    "more seeds": (put(seeds=[0, 1]), "has 1 values of 2 seeds"),
    "protocol": (put(protocol="full`<b>"), "is not the result of a run over seeds"),
    "name of a metric": (lambda r: r["metrics"].update({"=HR": r["metrics"]["HR@10"]}), "wants names such as NDCG@10"),
    "provenance": (put(provenance=[]), "provenance wants a record"),
    "seconds": (put(seconds={}), "seconds lacks eval, test, train"),
    "a list": (lambda r: r.clear(), "lacks"),
    "mean alone": (in_metric(mean=0.9), "HR@10 by full is 0.9, and the mean of its seeds is"),
    "mean and seed": (in_metric(mean=0.9, values=[0.9]), "HR@10 0.900000 for seed 0, and the mean over its"),
    "an interval": (in_metric(ci95=0.001), "HR@10 by full has the interval 0.001, and its seeds give None"),
    "nan": (in_metric(mean=float("nan")), "NaN is no number"),
    "not of each user": (lambda r: r["metrics"].update({"XY@10": r["metrics"]["HR@10"]}), "lacks XY@10, which"),
    "recall": (lambda r: r["metrics"]["Recall@5"].update(mean=0.9, values=[0.9]), "Recall@5 0.900000 for seed 0"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_a_result_that_no_run_wrote_is_one_line_and_writes_nothing(theirs, refused, case):
    change, wanted = RESULTS[case]
    edit(theirs / "result.json", change)
    said = refused()
    assert wanted in said and "result.json" in said


def zeros(path, **changes):
    with np.load(path) as file:
        arrays = dict(file) | changes
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})


def bomb(path, size=1 << 20, times=40):
    """An array of zeros a thousand times as large as its file."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f2", "fortran_order": False, "shape": (size * times // 2,)}
    )
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("more.npy", "w") as member:
        member.write(header.getvalue())
        for _ in range(times):
            member.write(bytes(size))


def lying_bomb(path):
    """The same, whose directory says that it is small."""
    bomb(path)
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, start + 24, 4096)
    path.write_bytes(content)


def lying_header(path):
    with zipfile.ZipFile(path, "a") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": (10**12,)})
        archive.writestr("more.npy", header.getvalue() + b"ab")


def objects(path):
    with zipfile.ZipFile(path, "a") as archive:
        content = io.BytesIO()
        np.save(content, np.array([{"a": 1}], object), allow_pickle=True)
        archive.writestr("more.npy", content.getvalue())


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def many(path):
    zeros(path, **{f"x{n}": np.zeros(1, np.float16) for n in range(300)})


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)


def hole(path):
    os.truncate(path, 20 << 30)


def out_of_the_folder(path):
    path.unlink()
    path.symlink_to("/etc/passwd")


USERS = {
    "garbage": (lambda path: path.write_bytes(b"garbage" * 100), "arrays as a run writes them"),
    "empty": (lambda path: path.write_bytes(b""), "arrays as a run writes them"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-40]), "arrays as a run writes them"),
    "flipped": (flipped, ""),
    "bomb": (bomb, "bytes of arrays"),
    "lying bomb": (lying_bomb, "arrays as a run writes them"),
    "lying header": (lying_header, "should have 2000000000000 bytes"),
    "objects": (objects, "holds object"),
    "many": (many, "at most 200 arrays"),
    "hole": (hole, "a file of 21474836480 bytes"),
    "pipe": (pipe, "is missing"),
    "a link out": (out_of_the_folder, "arrays as a run writes them"),
    "without users": (lambda path: zeros(path, users=None), "wanted the numbers of users"),
    "no users": (lambda path: np.savez(path, users=np.zeros(0, np.int32), **{"HR@10": np.zeros(0, np.float16)}), ""),
    "users alone": (lambda path: np.savez(path, users=np.arange(3)), "wanted the numbers of users"),
    "users twice": (lambda path: zeros(path, users=np.zeros(24, np.int32)), "wanted each user once"),
    "texts": (lambda path: zeros(path, **{"HR@10": np.full(24, "x")}), "wanted a number of each of 24 users"),
    "nan": (lambda path: zeros(path, **{"HR@10": np.full(24, np.nan, np.float16)}), "not all of them finite"),
    "other length": (lambda path: zeros(path, **{"HR@10": np.zeros(3, np.float16)}), "wanted a number of each of 24"),
    "other values": (lambda path: zeros(path, **{"NDCG@5": np.full(24, 0.125, "<f2")}), "users is 0.125000"),
    "a metric less": (lambda path: zeros(path, **{"NDCG@5": None}), "lacks NDCG@5"),
}


@pytest.mark.parametrize("case", USERS)
def test_metrics_of_users_that_no_run_wrote_are_one_line_and_write_nothing(theirs, refused, case):
    change, wanted = USERS[case]
    change(theirs / "seed_0" / "per_user.npz")
    assert wanted in refused()


def test_links_in_the_folder_of_kept_runs_lead_nowhere_else(theirs, home, tmp_path, refused):
    (tmp_path / "elsewhere").mkdir()
    home.mkdir(parents=True)
    (home / "plain").symlink_to(tmp_path / "elsewhere")
    assert "wanted a path below" in refused()
    (home / "plain").unlink()
    (home / "plain").mkdir()
    (home / "plain" / "bpr").symlink_to("../../../elsewhere")
    assert "wanted a path below" in refused()


def test_links_to_other_folders_are_left_out(theirs, home, tmp_path, capsys):
    table = tmp_path / "table"
    table.mkdir()
    shutil.move(theirs, table / "bpr")
    (table / "again").symlink_to(table)
    (table / "other").symlink_to("bpr")
    assert tables.main(["keep", str(table), "--kept", str(home), "--dirty-ok"]) == 0
    said = capsys.readouterr().out
    assert said.count(": left out: ") + said.count("a link; name the folder itself") == 2 and "kept: 1;" in said


@pytest.fixture
def kept(theirs, home, capsys):
    assert tables.main(["keep", str(theirs), "--kept", str(home), "--dirty-ok"]) == 0
    capsys.readouterr()
    return home / "plain" / "bpr"


def make(home, *more):
    return tables.main(["--paper", "diffnet", "--datasets", "plain", "--kept", str(home), "--out", str(home / "out")])


@pytest.mark.parametrize("case", [name for name in RESULTS if name not in ("not of each user", "recall")])
def test_kept_results_are_checked_as_results_are(kept, home, capsys, case):
    edit(kept / "result.json", RESULTS[case][0])
    for command in (make, lambda home: tables.main(["check", "--kept", str(home)])):
        assert command(home) == 1
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1, err


def test_kept_metrics_of_users_are_checked_against_the_means(kept, home, capsys):
    with np.load(kept / "per_user.npz") as file:
        arrays = dict(file)
    np.savez(kept / "per_user.npz", **arrays | {"values": np.ones_like(arrays["values"])})
    edit(kept / "result.json", put(per_user_sha256=sha256(kept / "per_user.npz")))
    assert make(home) == 1 and "the two do not belong together" in capsys.readouterr().err
    np.savez(kept / "per_user.npz", **arrays | {"values": arrays["values"][:, :, :1]})
    edit(kept / "result.json", put(per_user_sha256=sha256(kept / "per_user.npz")))
    assert make(home) == 1 and "wanted users and their metrics by 1 seeds" in capsys.readouterr().err


def test_texts_of_a_result_are_shown_and_neither_obeyed_nor_computed(kept, home, capsys):
    texts = {
        "commit": "<script>alert(1)</script>|x",
        "features": "=cmd|' /C calc'!A0",
        "device": "<b>`a`[x](http://y)\n# h",
    }
    edit(kept / "result.json", put(**texts))
    assert make(home) == 0
    page = (home / "out" / "diffnet-plain.md").read_text()
    assert "<script" not in page and "<b>" not in page and "](http" not in page and "\n# h" not in page
    lines = list(csv.DictReader(io.StringIO((home / "out" / "diffnet.csv").read_text())))
    assert {line["features"] for line in lines} == {"none", "'=cmd|' /C calc'!A0"}
    assert all(float(line["mean"]) >= 0 or line["metric"] == "Lift" for line in lines)


def test_data_sets_of_tables_are_names(kept, home, tmp_path, capsys):
    for dataset in ("../plain", "/etc", "a/b", ".."):
        words = ["--paper", "diffnet", "--datasets", dataset, "--kept", str(home), "--out", str(tmp_path / "out")]
        assert tables.main(words) == 1
        assert "wanted the name of a data set" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\uff1d1"])
def test_text_cells_are_no_formulas_and_numbers_stay_numbers(text):
    line = [text] * len(HEAD)
    line[HEAD.index("mean")] = "-0.500000"
    ((got),) = list(csv.DictReader(io.StringIO(as_csv([line]))))
    assert got["mean"] == "-0.500000"
    assert all(not got[name].lstrip().startswith(tuple("=+-@\t\uff1d")) for name in ("commit", "model", "features"))


def test_markdown_cells_stay_in_their_cells():
    table = markdown_table([["a|b", "<img src=x>"], ["c\nd", "[x](javascript:y)"]])
    assert table.count("\n") == 2 and "<" not in table and "](j" not in table
    assert escaped("DiffNet++, with features ±0.1 **0.2** [0, 8)") == "DiffNet++, with features ±0.1 **0.2** [0, 8)"


def test_arrays_are_read_back_as_they_were(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.int32).reshape(2, 3), "b": np.array(["x", "ä"]), "c": np.zeros((0, 2), "<f2")}
    arrays["d"] = np.asfortranarray(np.random.default_rng(0).normal(size=(3, 4)))
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "some.npz", **arrays)
        got = npz_files.read(tmp_path / "some.npz")
        assert list(got) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(got[name], array)
            assert got[name].dtype == array.dtype and got[name].flags.writeable
    with pytest.raises(NpzError, match=r"at most 600 bytes of arrays, got \d+"):
        npz_files.read(tmp_path / "some.npz", largest=600)


def test_damaged_arrays_are_one_kind_of_error(tmp_path):
    path = tmp_path / "some.npz"
    np.savez_compressed(path, users=np.arange(200), values=np.linspace(0, 1, 200))
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    read = 0
    for _ in range(300):
        content = bytearray(whole)
        for place in draw.integers(0, len(content), 3):
            content[place] = draw.integers(256)
        path.write_bytes(bytes(content[: draw.integers(1, len(content) + 1)] if draw.random() < 0.2 else content))
        try:
            read += len(npz_files.read(path)) > 0
        except NpzError as error:
            assert "some.npz" in str(error) and str(error).isprintable()
    assert read < 100
