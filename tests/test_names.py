"""Names become folders below their root, or one clear error; any text becomes part of a file's name."""

import pytest

from socialjax.names import KEPT, LONGEST, BadName, as_identifier, below, file_part, identifier


@pytest.mark.parametrize("name", ["yelp", "hasc_fs", "a", "2024", "yelp-stand-in", "v1.0+x", "_private", "x" * LONGEST])
def test_plain_names_are_names(name):
    assert identifier(name, "a data set") == name


ODD = [
    "", ".", "..", ".hidden", "-rf", "a/b", "/etc", "../x", "a\\b", "C:", "a b", "a\n", "a\0", "\x1b[31m", "a\u202eb",
    "ä", "٣", "~", "~root", "$HOME", "a;b", "a'b", "*", "x" * (LONGEST + 1), "x" * 10**6, None, 3, True, ["a"],
    {"a": 1}, b"a", "dim=2", "a,b",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD, ids=lambda name: repr(name)[:20])
def test_everything_else_is_refused_in_one_visible_line(name):
    with pytest.raises(BadName, match=r"wanted the name of a data set, 1 to 100 letters, .* got ") as refused:
        identifier(name, "a data set")
    said = str(refused.value)
    assert said.isprintable() and len(said) < 300


@pytest.mark.parametrize("text", ["my likes", "../x", ".hidden", "-rf", "", "...", "ä" * 200, "a/b\n", "\x1b[2J"])
def test_any_text_can_be_made_a_name(text):
    assert identifier(as_identifier(text), "a data set")
    assert as_identifier("my likes") == "my_likes" and as_identifier("films-2.1+x") == "films-2.1+x"


def test_names_of_kept_runs_may_say_what_was_swept():
    assert identifier("diffnet-dim=16,depth=2", "a kept run", KEPT)
    with pytest.raises(BadName):
        identifier("../dim=16", "a kept run", KEPT)


def test_what_is_below_stays_below(tmp_path):
    root = tmp_path / "root"
    assert below(root, "a", "b") == root / "a" / "b", "it need not be there"
    (root / "inside").mkdir(parents=True)
    (root / "link").symlink_to(root / "inside")
    assert below(root, "link", "a") == root / "link" / "a"
    (tmp_path / "moved").symlink_to(root)
    assert below(tmp_path / "moved", "a") == tmp_path / "moved" / "a", "the root itself may be a link"


@pytest.mark.parametrize(
    "names", [("..",), ("a", "../.."), ("/etc",), (".",), ("",), (), ("a", ".."), ("a\0",)], ids=str
)
def test_what_leads_out_is_refused(tmp_path, names):
    with pytest.raises(BadName, match="wanted a path below"):
        below(tmp_path / "root", *names)


def test_links_that_lead_out_are_refused(tmp_path):
    root = tmp_path / "root"
    (root / "inside").mkdir(parents=True)
    (root / "absolute").symlink_to("/")
    (root / "relative").symlink_to("../elsewhere")  # dangling: it could be made
    (root / "inside" / "deep").symlink_to("../../elsewhere")
    (root / "loop").symlink_to("loop")
    for names in (
        ["absolute"],
        ["absolute", "etc"],
        ["relative"],
        ["relative", "x"],
        ["inside", "deep"],
        ["loop", "x"],
    ):
        with pytest.raises(BadName, match="wanted a path below"):
            below(root, *names)


def test_parts_of_file_names_are_plain_and_tell_texts_apart(tmp_path):
    assert file_part("guest3") == "guest3" and file_part(17) == "17"
    texts = ["../a", "..%2Fa", "a b", "a\0b", "ä", "\ud800", "x" * 300, "x" * 301, "/" * 90, "/" * 91, "", "a\n"]
    parts = [file_part(text) for text in texts]
    assert len(set(parts)) == len(texts)
    for part in parts:
        (tmp_path / f"user_{part}.png").touch()
    assert len(list(tmp_path.iterdir())) == len(texts)
