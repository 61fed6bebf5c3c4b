"""JSON of strangers: within limits, of the wanted types, or one clear line that names file and field."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from socialjax import json_files, models
from socialjax.data.sources import DataSettings
from socialjax.json_files import JsonError, WrongType, read, typed
from socialjax.run.results import plain
from socialjax.run.settings import EvalSettings
from socialjax.train.step import TrainSettings


@pytest.fixture
def file(tmp_path):
    return tmp_path / "some.json"


def test_plain_json_is_read(file):
    content = {"a": [1, 2.5, -3e-7, True, None, "ä \U0001f373", {}], "b": {"c": 10**29}}
    file.write_text(json.dumps(content))
    assert read(file) == content
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    assert read(file) == content


BAD = {
    "empty": b"",
    "cut": b'{"a": [1, 2',
    "brackets": b"[" * 200_000,
    "closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "records": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a few too deep": b"[" * 80 + b"]" * 80,
    "nan": b'{"a": NaN}',
    "infinity": b"[-Infinity]",
    "too large": b"[1e999]",
    "digits": b"[" + b"9" * 5_000 + b"]",
    "fewer digits": b"[" + b"9" * 400 + b"]",
    "latin": "é".encode("latin-1"),
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "twice": b'{"a": 1, "a": 2}',
    "half a pair": b'{"a": "\\ud800"}',
    "half a pair as name": b'{"\\uDC00": 1}',
    "NUL": b'{"a": "\x00"}',
    "two": b"{} {}",
    "python": b"__import__('os')",
    "many values": b"[" + b"0," * 2_000_001 + b"0]",
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_everything_else_is_one_line_that_names_the_file(file, content):
    file.write_bytes(content)
    with pytest.raises(JsonError, match=r"some\.json is damaged \(.*; look again$") as refused:
        read(file, advice="look again")
    said = str(refused.value)
    assert said.isprintable() and len(said) < 400


def test_odd_files_are_refused_unread(file, tmp_path):
    with open(file, "wb") as hole:
        hole.truncate(20 << 30)
    with pytest.raises(JsonError, match=r"wanted at most \d+ bytes, got 21474836480"):
        read(file)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises(JsonError, match="it is no plain file"):
            read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.json")


def test_numbers_that_json_has_not_are_read_where_they_are_meant(file):
    file.write_text('{"best": -Infinity}')
    assert read(file, nonfinite=True) == {"best": -float("inf")}


class Inner(TypedDict):
    mean: float
    ci95: float | None
    note: NotRequired[str]


@dataclasses.dataclass(frozen=True)
class Settings:
    dim: int = 8
    rate: float = 0.1
    kind: Literal["a", "b"] = "a"
    many: tuple[int, ...] = ()
    two: tuple[float, float] = (0.1, 0.2)
    place: Path | None = None
    flag: Annotated[bool, "anything"] = False


def test_values_become_what_their_types_say():
    got = typed(
        {"dim": 4, "rate": 1, "kind": "b", "many": [1, 2], "two": [0, 0.5], "place": "/tmp/x", "flag": True}, Settings
    )
    assert got == Settings(4, 1.0, "b", (1, 2), (0.0, 0.5), Path("/tmp/x"), True)
    assert isinstance(got.rate, float) and isinstance(got.many, tuple)
    assert typed({}, Settings) == Settings()
    assert typed({"mean": 1, "ci95": None, "more": [1]}, Inner) == {"mean": 1.0, "ci95": None, "more": [1]}
    assert typed({"x": {"mean": 0, "ci95": 1}}, dict[str, Inner]) == {"x": {"mean": 0.0, "ci95": 1.0}}
    assert typed(["anything"], Any) == ["anything"]


@pytest.mark.parametrize(
    "value, hint, said",
    [
        ({"dim": "8"}, Settings, "s.dim wants a whole number, got '8'"),
        ({"dim": True}, Settings, "s.dim wants a whole number, got True"),
        ({"dim": 8.0}, Settings, "s.dim wants a whole number, got 8.0"),
        ({"dim": 2**63}, Settings, "s.dim wants a whole number, got 9223372036854775808"),
        ({"dim": None}, Settings, "s.dim wants a whole number, got None"),
        ({"dim": {"x": 1}}, Settings, "s.dim wants a whole number, got a dict"),
        ({"rate": "0.1"}, Settings, "s.rate wants a number, got '0.1'"),
        ({"rate": float("nan")}, Settings, "s.rate wants a number, got nan"),
        ({"kind": "c"}, Settings, "s.kind wants one of a, b, got 'c'"),
        ({"kind": ["a"]}, Settings, "s.kind wants one of a, b, got a list"),
        ({"many": 3}, Settings, "s.many wants a list, got 3"),
        ({"many": [1, "2"]}, Settings, r"s.many\[1\] wants a whole number, got '2'"),
        ({"two": "ab"}, Settings, "s.two wants a list, got 'ab'"),
        ({"two": [0.1]}, Settings, "s.two wants a list of 2, got a list"),
        ({"place": 3}, Settings, "s.place wants the path of a file or folder or null, got 3"),
        ({"place": "a\0b"}, Settings, "s.place wants the path"),
        ({"place": "a/" + "é" * 128}, Settings, "s.place wants the path"),
        ({"place": "x" * 5000}, Settings, r"s.place wants the path .*\.\.\."),
        ({"flag": 1}, Settings, "s.flag wants true or false, got 1"),
        ({"colour": 1}, Settings, "Settings has no settings colour"),
        ([], Settings, "s wants a record, got a list"),
        (None, Settings, "s wants a record, got None"),
        ({"mean": 1}, Inner, "s lacks ci95"),
        ({"mean": 1, "ci95": "x"}, Inner, "s.ci95 wants a number or null, got 'x'"),
        ({"a": {"mean": "x", "ci95": 1}}, dict[str, Inner], "s.a.mean wants a number, got 'x'"),
        ({"a": {"mean": "x", "ci95": 1}}, dict[str, Inner] | None, "s.a.mean wants a number, got 'x'"),
        ({"\x1b": "x"}, dict[str, int], r"s.\\x1b wants a whole number"),
        ({"a": "\x1b]"}, dict[str, int], r"s.a wants a whole number, got '\\x1b\]'"),
    ],
)
def test_a_value_of_another_type_is_named_by_its_field(value, hint, said):
    with pytest.raises(WrongType, match=f"^{said}"):
        typed(value, hint, "s")


@pytest.mark.parametrize(
    "kind", [*models.MODELS.values(), DataSettings, TrainSettings, EvalSettings], ids=lambda kind: kind.__name__
)
def test_all_settings_come_back_from_json_as_they_were(kind):
    assert typed(json.loads(json.dumps(plain(kind()))), kind) == kind()
    assert len(dataclasses.fields(kind)) < json_files.DEEPEST
