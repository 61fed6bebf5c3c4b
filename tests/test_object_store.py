"""Objects are written whole, read within limits, and named so that they stay where they belong."""

import sys
from pathlib import Path

import pytest
from stores import S3

from socialjax.object_store import Folder, StoreError, address_of, parts

pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def s3():
    server = S3()
    yield server
    server.close()


@pytest.fixture(params=["file", "s3"])
def url(request, tmp_path, monkeypatch):
    if request.param == "file":
        return f"file://{tmp_path}/store"
    server = request.getfixturevalue("s3")
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{tmp_path.name}"


@pytest.mark.parametrize(
    "given, url",
    [
        ("s3://bucket/mine", "s3://bucket/mine"),
        (Path("s3://bucket/mine"), "s3://bucket/mine"),  # as the command line keeps it
        (Path("gs://bucket/a/b/"), "gs://bucket/a/b"),
        (Path("file:///data/x"), "file:///data/x"),
        (Path("/data/x"), None),
        (Path("runs/s3"), None),
        (Path("http://host/x"), None),
        (Path("s3:"), None),
    ],
)
def test_addresses_are_told_from_paths(given, url):
    assert address_of(given) == url


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "/etc/passwd", "a//b", "", ".hidden", "a/.b", "a\\b", "a\nb", "a\0b", "a" * 201, "\u202ex"],
)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(StoreError, match="an object is called"):
        parts(name)
    assert parts("a/b c/d.txt") == ("a", "b c", "d.txt")


@pytest.mark.parametrize(
    "address", ["bucket/x", "http://host/x", "s3://key:secret@bucket/x", "s3://bucket/x?y", "s3://"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(StoreError, match=r"--mirror wants SCHEME://BUCKET/FOLDER"):
        Folder(address, "--mirror")


def test_objects_come_back_as_they_were(url, tmp_path):
    folder = Folder(url, "--mirror")
    large = b"0123456789abcdef" * (1 << 20)  # more than one chunk
    (tmp_path / "large").write_bytes(large)
    folder.put("a/large", tmp_path / "large")
    folder.put("empty", b"")
    (tmp_path / "nothing").write_bytes(b"")
    folder.put("also empty", tmp_path / "nothing")
    assert {stored.name: stored.size for stored in folder.listed()} == {
        "a/large": len(large),
        "empty": 0,
        "also empty": 0,
    }
    assert folder.get("a/large", len(large)) == large and folder.get("empty", 0) == b""
    digest = folder.fetch("a/large", tmp_path / "back", len(large))
    import hashlib

    assert (tmp_path / "back").read_bytes() == large and digest == hashlib.sha256(large).hexdigest()
    before = {stored.tag for stored in folder.listed() if stored.name == "empty"}
    folder.put("empty", b"no more")
    assert before != {stored.tag for stored in folder.listed() if stored.name == "empty"}
    folder.delete(["a/large", "never there"])
    assert folder.get("a/large", 10) is None


def test_no_more_is_read_than_was_announced_and_nothing_half_is_left(url, tmp_path):
    folder = Folder(url, "--mirror")
    folder.put("x", b"0123456789")
    with pytest.raises(StoreError, match="more than the 9 bytes"):
        folder.get("x", 9)
    for size in (9, 11):
        with pytest.raises(StoreError, match="bytes"):
            folder.fetch("x", tmp_path / "half", size)
    with pytest.raises(StoreError, match="lacks y"):
        folder.fetch("y", tmp_path / "half", 1)
    assert not (tmp_path / "half").exists() and not list(tmp_path.glob(".*half"))


def test_a_server_that_refuses_is_one_sentence(s3, monkeypatch):
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=r"s3://no-such-bucket/x cannot be listed: .*NoSuchBucket") as raised:
        list(Folder("s3://no-such-bucket/x", "--mirror").listed())
    assert "\n" not in str(raised.value)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ImportError, match=r"pip install 'socialjax\[cloud\]'"):
        Folder("s3://bucket/x", "--mirror")
