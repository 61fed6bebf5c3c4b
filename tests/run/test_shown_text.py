"""What strangers wrote, as ids, titles and names, reaches the terminal as text: nothing moves, turns or hides."""

import logging
import unicodedata
from pathlib import Path

import pytest
from tiny import ITEMS, ODD_TITLE

from socialjax.commands import explain, recommend
from socialjax.commands.data import main as data_command
from socialjax.eval.metrics import text_table
from socialjax.explain.text import heading, name_of, report
from socialjax.names import visible
from socialjax.run.command import fail, say, set_up_logging

pytestmark = pytest.mark.usefixtures("places")


def is_safe(text, *, lines=True):
    obeyed = (c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp"))
    return all(lines and c == "\n" for c in obeyed)


def test_titles_are_shown_and_not_obeyed(finished_runs, capsys, logging_as_before):
    folder = str(finished_runs["bpr"])
    assert recommend.main([folder, "--user", "1", "--k", str(ITEMS), "--include-seen"]) == 0
    said = capsys.readouterr()
    assert is_safe(said.out) and is_safe(said.err)
    assert visible(ODD_TITLE) in said.out
    assert explain.main([folder, "--user", "1", "--item", str(ITEMS - 1)]) == 0
    said = capsys.readouterr()
    assert is_safe(said.out) and visible(ODD_TITLE) in said.out


def test_what_is_typed_is_shown_too(finished_runs, capsys, logging_as_before):
    folder = str(finished_runs["bpr"])
    for arguments in (["--user", ODD_TITLE], ["--items", "a\nb\x1b", "--friends", "1"]):
        assert recommend.main([folder, *arguments]) == 1
        said = capsys.readouterr()
        assert is_safe(said.err) and not said.out
        assert said.err.splitlines()[-1].startswith("error: ")


def test_names_of_folders_and_files_are_shown(tmp_path, capsys, logging_as_before):
    odd = tmp_path / "a\x1b[2J\nerror: b"
    assert recommend.main([str(odd), "--user", "1"]) == 1
    assert data_command(["describe", "mine", "--data.dir", str(odd)]) == 1
    said = capsys.readouterr().err
    assert is_safe(said) and len(said.splitlines()) == 2 and said.count(r"a\x1b[2J") == 2


def test_ids_in_explanations_are_shown():
    element = {
        "id": ODD_TITLE,
        "title": ODD_TITLE,
        "steps": [ODD_TITLE],
        "is_user": False,
        "weight": 1.0,
        "contribution": 0.5,
    }
    group = {"part": "history", "label": "own history", "kind": "item", "count": 1, "ranked": [element]}
    group |= {"exact": True, "first": "", "words": {"weight": "weight"}, "note": ""}
    record = {"data_set": "a\x1b", "data": "real", "user": "u\n1", "item": "\u202ei", "title": ODD_TITLE, "score": 1.0}
    record |= {"exact": True, "parts": [{"name": "history", "label": "own history", "value": 1.0}]}
    record |= {"elements": [group | {"rest": {"count": 0, "contribution": 0.0}}]}
    assert is_safe(report([record, record | {"data": "stand-in"}]))
    assert heading(record).startswith(r"user u\n1, item \u202ei ")
    for kind in ("item", "user", "frame", "attribute", "path", "number"):
        assert is_safe(name_of(element, kind), lines=False)
        assert is_safe(name_of(element | {"is_user": True}, kind), lines=False)


def test_cells_of_tables_stay_on_their_lines():
    table = text_table([["", "HR@10"], ["a\nb\x1b", "0.1"]])
    assert table.count("\n") == 2 and r"a\nb\x1b" in table


def test_messages_are_shown(capsys, logging_as_before):
    set_up_logging()
    log = logging.getLogger("socialjax.of_a_test")
    log.warning("skipped %s of %d", ValueError("a\nb\x1b[0m"), 3)
    log.warning("%s", Path("a\nb\x9b"))
    log.info("two lines:\n%s\x1b", "of a table\x07")
    log.warning("100 %")
    fail("a\x1b\nb\u202e")
    say("line\nline\x1b")
    said = capsys.readouterr()
    lines = ["skipped a\\nb\\x1b[0m of 3", "a\\nb\\x9b", "two lines:", "of a table\\x07\\x1b", "100 %"]
    assert said.err.splitlines() == [*lines, r"error: a\x1b b\u202e"]
    assert said.out == "line\nline\\x1b\n"
