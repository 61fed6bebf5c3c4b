"""Text from outside made safe: names that become folders and files, and any text that is shown."""

import hashlib
import re
import unicodedata
from pathlib import Path

LONGEST = 100  # characters; a file name may have 255 bytes, and something is often added
PLAIN = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*")
KEPT = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+,=-]*")


class BadName(ValueError):
    """A name that may not become a folder or a file. The message says which, and what names are made of."""


def identifier(name: object, what: str, pattern: re.Pattern = PLAIN) -> str:
    """`name`, when it is one: letters, digits and . _ + - of ASCII, no dot and no dash first, not too long.

    what: of what it is the name, for the message. pattern: KEPT also takes `=` and `,`, as in `dim=16,depth=2`.
    Raises BadName.
    """
    if isinstance(name, str) and len(name) <= LONGEST and pattern.fullmatch(name):
        return name
    got = visible(repr(name))
    also = " , =" if pattern is KEPT else ""
    raise BadName(
        f"wanted the name of {what}, 1 to {LONGEST} letters, digits and . _ + -{also} with a letter or a digit first, "
        f"got {got if len(got) <= 80 else got[:77] + '...'}"
    )


def as_identifier(text: str) -> str:
    """Of any text, such as the name of a file, a name that `identifier` takes: what it does not take becomes `_`."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", text).lstrip(".-")[:LONGEST] or "_"


def below(root: Path, *names: str) -> Path:
    """`root/names...`, which lies below `root` wherever links lead. Raises BadName for what does not."""
    root, path = Path(root), Path(root, *names)
    try:
        resolved_root, inside = root.resolve(), path.resolve()
    except (OSError, RuntimeError, ValueError) as problem:  # a loop of links, a NUL
        raise BadName(f"wanted a path below {visible(root)}, got {visible(path)} ({visible(problem)})") from None
    if resolved_root not in inside.parents:
        raise BadName(
            f"wanted a path below {visible(root)}, got {visible(path)}, which is {visible(inside)}; "
            "choose another name, or take the link away"
        )
    return path


def file_part(text: object) -> str:
    """Any text as part of a file's name: what PLAIN does not take is written as %XX, and the end of a long one as its
    digest, so that different texts stay different."""
    text = str(text)
    plain = "".join(c if PLAIN.fullmatch(f"_{c}") else "".join(f"%{byte:02X}" for byte in _bytes(c)) for c in text)
    return plain if len(plain) <= LONGEST else f"{plain[:80]}-{hashlib.sha256(_bytes(text)).hexdigest()[:16]}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


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
