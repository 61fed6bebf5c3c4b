"""Pages are made of templates that escape whatever they are given."""

import jinja2
import pytest

from socialjax.pages import page, write

GIVEN = {"title": "A page", "kind": "", "banner": "Real data", "lines": (), "legend": (), "sections": ()}


def test_every_text_is_escaped_and_shown_whatever_it_holds():
    nasty = '</title></style><script>alert("1")</script>\x00\u202e\n'
    text = page("gallery.html", **GIVEN | {"title": nasty, "banner": nasty, "kind": nasty, "lines": [nasty]})
    assert "<script" not in text and "\x00" not in text and "\u202e" not in text
    escaped = "&lt;/title&gt;&lt;/style&gt;&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;"
    assert text.count(f"{escaped}\\x00\\u202e\\n") == 6  # kind and title of the tab, title, line, banner twice
    assert text.count("</title>") == text.count("</style>") == 1


def test_the_page_says_first_and_last_what_its_data_are_and_loads_nothing():
    text = page("gallery.html", **GIVEN | {"kind": "PLANTED", "banner": "drawn"})
    assert text.startswith("<!doctype html>") and text.endswith("</html>\n")
    assert text.count('<p class="kind made">drawn</p>') == 2 and "<title>PLANTED: A page</title>" in text
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text
    assert page("gallery.html", **GIVEN).count('<p class="kind real">Real data</p>') == 2


def test_a_value_that_is_lacking_is_no_empty_place():
    with pytest.raises(jinja2.UndefinedError, match="lines"):
        page("gallery.html", **{name: value for name, value in GIVEN.items() if name != "lines"})


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    write(tmp_path / "page.html", "é")
    assert (tmp_path / "page.html").read_bytes() == "é".encode()
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(OSError):
        write(tmp_path / "taken.html", "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "taken.html"]
