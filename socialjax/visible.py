"""Untrusted text made safe to show: control characters and invisible ones become visible escapes."""

import unicodedata

JOINERS = "\u200c\u200d"  # invisible, and needed to write Persian, Hindi and emoji
# Control characters, format characters (writing directions, zero widths, tags), halves of pairs, other line ends.
UNSAFE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text) -> str:
    """One line of text: ids, titles, names of files, whatever comes out of a file that somebody else wrote."""
    text = str(text)
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def visible_lines(text) -> str:
    """The same of text whose line feeds are its own: tables and reports, the cells of which are visible already."""
    return "\n".join(map(visible, str(text).split("\n")))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in UNSAFE or character in JOINERS:
        return character
    return SHORT.get(character) or character.encode("unicode_escape", "backslashreplace").decode("ascii")
