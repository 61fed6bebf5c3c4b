"""`<name>.items`: what an item is called, one `item id <tab, comma or blank> title` a line."""

from socialjax.data.errors import DataError
from socialjax.data.formats.file_bytes import FileBytes
from socialjax.data.formats.text_fields import clean_text

LONGEST_TITLE = 200  # characters; longer ones are cut, since every entry of an array of text is as wide as the longest


def read_titles(file: FileBytes) -> dict[str, str]:
    """Item id -> title; the first line of an id counts. Raises DataError for a line without a separator."""
    titles: dict[str, str] = {}
    for number, line in enumerate(clean_text(file).decode("utf-8").split("\n"), start=1):
        line = line.strip(" ")
        if not line.strip():
            continue
        separator = next((mark for mark in "\t, " if mark in line), None)
        if separator is None:
            raise DataError(
                f"{file.path}, line {number}: wanted an item id and a title parted by a tab, a comma or a blank, "
                f"got {line[:40]!r}; add the title or drop the line"
            )
        item, title = line.split(separator, 1)
        titles.setdefault(_unquoted(item), _unquoted(title)[:LONGEST_TITLE])
    return titles


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('""', '"')
    return text
