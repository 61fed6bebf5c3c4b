"""Text that is shown moves no cursor, sets no title, turns no line round and adds none."""

import unicodedata

import pytest

from socialjax.names import visible, visible_lines


def is_safe(text):
    """No character that a terminal obeys or that nobody sees, but the joiners of scripts and emoji."""
    return not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\u200c\u200d" for c in text)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("a\u202eb", r"a\u202eb"),
        ("\u2066\u2069\u061c\u200f", r"\u2066\u2069\u061c\u200f"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("\x00\x7f\x08", r"\x00\x7f\x08"),
    ],
)
def test_what_a_terminal_obeys_becomes_an_escape(text, shown):
    assert visible(text) == shown and is_safe(visible(text))


def test_every_character_is_safe_once_visible():
    assert all(
        is_safe(visible(chr(code))) for code in [*range(0x3000), *range(0xD800, 0xE000), *range(0xF000, 0x10000)]
    )


@pytest.mark.parametrize(
    "text", ["Blue Cafe", "Amélie", "東京物語", "عمر", "می\u200cخواهم", "👩\u200d🍳", "a\\b", "50 %", ""]
)
def test_what_people_write_stays_as_it_is(text):
    assert visible(text) == text


def test_other_things_are_shown_as_their_text():
    assert (visible(3), visible(None), visible(ValueError("a\nb"))) == ("3", "None", r"a\nb")


def test_reports_keep_their_lines_and_nothing_else():
    assert visible_lines("one\n\ttwo\x1b\r\n") == "one\n\\ttwo\\x1b\\r\n"
