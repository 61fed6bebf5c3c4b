"""Which column of a table holds what: by a header, by what the user says, or by its place where there is no header.

Under a header nothing is guessed: columns whose names are not known are to be named with `--data.columns`.
"""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from socialjax.data.pairs_files import as_float32
from socialjax.formats.arrow_tables import cut_parquet, is_parquet
from socialjax.formats.file_bytes import DataError, read_bytes
from socialjax.formats.text_layout import Layout, cut
from socialjax.formats.text_tables import Table, plain_name, table_of

# Names of columns as `plain_name` writes them: `User-ID`, `user_id:token` and `userid` are one.
KNOWN = {
    "user": "user userid uid u reviewer reviewerid customer customerid member memberid account accountid person "
    "personid visitor visitorid client clientid player playerid profileid username reader readerid listener listenerid",
    "item": "item itemid iid i product productid asin parentasin movie movieid film filmid business businessid artist "
    "artistid book bookid isbn sku song songid track trackid video videoid image imageid photo photoid article "
    "articleid news newsid game gameid app appid venue venueid poi poiid place placeid restaurant restaurantid recipe "
    "recipeid anime animeid show showid course courseid content contentid",
    "value": "value rating ratings rate score stars star starrating bookrating movierating userrating overall weight "
    "count plays playcount listencount label preference",
    "time": "time timestamp ts unixtime unixreviewtime date datetime ratedat createdat eventtime",
    "part": "xlabel split part",
    "follower": "follower followerid source sourceid from trustor truster user1 userid1 user userid uid",
    "followee": "followee followeeid followed friend friendid target targetid to trustee user2 userid2",
    "owner": "owner ownerid creator creatorid author authorid uploader uploaderid by user userid uid",
    "title": "title name itemname movietitle producttitle itemtitle",
}
NAMES = {role: tuple(names.split()) for role, names in KNOWN.items()}
OF_PAIRS = ("user", "item", "value", "time", "part")
_NOT_THERE = "-"
LARGEST_VALUE = 10_000  # of a column that is offered as one of ratings or counts; ids and sums of money are larger


class Chosen(NamedTuple):
    """How the user says that tables are to be read.

    Attributes:
      columns: the name, or the number from 1 on, of the column of a role; `-` says that there is none.
      layout: separator and encoding.
    """

    columns: Mapping[str, str]
    layout: Layout


AS_FOUND = Chosen({}, Layout())


def chosen_columns(texts: Sequence[str]) -> dict[str, str]:
    """Role -> column from `role=column`. Raises DataError for another form and for roles that do not exist."""
    columns = {}
    for text in texts:
        role, equals, column = text.partition("=")
        if role not in NAMES or not equals or not column.strip() or role in columns:
            raise DataError(
                f"--data.columns wants ROLE=COLUMN, each role once, of {', '.join(NAMES)}, such as user=member "
                f"item=sku time=- (- for none), got {text!r}"
            )
        columns[role] = column.strip()
    return columns


class PairsTable(NamedTuple):
    """One file of pairs.

    Attributes:
        table: its fields.
        user: column of the users.
        item: column of the items.
        value: f32[N], if there.
        time: i64[N], if there.
        part: names of the parts U[N], if the file has them.
        stated: notes for the provenance.
    """

    table: Table
    user: int
    item: int
    value: np.ndarray | None
    time: np.ndarray | None
    part: np.ndarray | None
    stated: tuple[str, ...]


def read_any(
    path: Path, checksums: dict[str, str], chosen: Chosen, roles: Sequence[str], most: int | None = 4
) -> Table:
    """A table of text, JSON lines or Parquet, with its checksum.

    most: columns without a header; None for any number.
    """
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    parts = cut_parquet(file) if is_parquet(file) else cut(file, chosen.layout)
    most = parts.fields.start.shape[1] if most is None or chosen.columns else most
    return table_of(path, parts, (2, max(2, most)), [frozenset(NAMES[role]) for role in roles], header=True)


def read_pairs_table(path: Path, checksums: dict[str, str], chosen: Chosen = AS_FOUND) -> PairsTable:
    """`user item [value [time]]`, or any columns under a header that names them."""
    return pairs_of(read_any(path, checksums, chosen, ("user", "item", "value", "time")), chosen)


def pairs_of(table: Table, chosen: Chosen) -> PairsTable:
    """The columns of a table of pairs."""
    places, stated = find_columns(table, ("user", "item"), ("value", "time", "part"), chosen, has_pairs=True)
    value = time = part = None
    if "value" in places:
        value = as_float32(table.numbers(places["value"], "a value"), table.path)
    if "time" in places:
        time, note = table.seconds(places["time"])
        stated += [note] if note else []
    if "part" in places:
        part = _parts(table, places["part"])
    return PairsTable(table, places["user"], places["item"], value, time, part, tuple(stated))


_PART_WORDS = {"0": "train", "1": "validation", "2": "test", "train": "train", "val": "validation", "test": "test"}
_PART_WORDS |= {"valid": "validation", "validation": "validation", "dev": "validation"}


def _parts(table: Table, column: int) -> np.ndarray:
    """Names of parts U[N]: 0, 1 and 2 (as MMRec writes them) or train, val and test."""
    words = [_PART_WORDS.get(table.text(row, column).lower()) for row in range(len(table))]
    if None in words:
        wanted = "0 or train, 1 or val, 2 or test"
        raise table.error(
            words.index(None), column, wanted, "correct it, or leave the column out: --data.columns part=-"
        )
    return np.array(words)


def read_links_table(path: Path, checksums: dict[str, str], chosen: Chosen) -> "LinksTable":
    """`follower followee [value]` of a file."""
    return links_of(read_any(path, checksums, chosen, ("follower", "followee")), chosen)


def links_of(table: Table, chosen: Chosen) -> "LinksTable":
    """The columns of a table of links. Raises DataError for a value of 0 or below, which may be distrust."""
    places, stated = find_columns(table, ("follower", "followee"), ("value",), chosen)
    if "value" in places:
        value, wanted = table.numbers(places["value"], "a value"), "links with a value above 0"
        if (value <= 0).any():
            advice = "drop links that are none or mean distrust, or take every line as a link: --data.columns value=-"
            raise table.error(int((value <= 0).argmax()), places["value"], wanted, advice)
    return LinksTable(table, places["follower"], places["followee"], tuple(stated))


class LinksTable(NamedTuple):
    """One file of links: its fields, the columns of who follows and who is followed, notes for the provenance."""

    table: Table
    follower: int
    followee: int
    stated: tuple[str, ...]


def read_owners_table(path: Path, checksums: dict[str, str], chosen: Chosen) -> tuple[Table, int, int, list[str]]:
    """Who made what: the table, the columns of item and user, and notes. `.owners` begins with the item, `.uploads`
    with the user, unless a header says otherwise."""
    roles = ("item", "owner")
    if path.name.removesuffix(".gz").endswith(".uploads"):
        roles = roles[::-1]
    table = read_any(path, checksums, chosen, roles)
    places, stated = find_columns(table, roles, (), chosen)
    return table, places["item"], places["owner"], stated


def find_columns(
    table: Table, required: Sequence[str], optional: Sequence[str], chosen: Chosen, has_pairs: bool = False
) -> tuple[dict[str, int], list[str]]:
    """The column of each role, and notes on what was read as a header and not used.

    Args:
        table: of a file.
        required: roles that must be there. Without a header the first columns are theirs, in this order.
        optional: roles that may be there; without a header the columns after those, except a part.
        chosen: what the user says, which comes first.
        has_pairs: whether this is a table of pairs. `OF_PAIRS` are named for these: another table takes such a column
            where it has one of that name.

    Returns:
        Role -> column, without optional roles that are not there; and notes for the provenance.

    Raises:
        DataError: a required role has no column or two, or a column that was named is not there.
    """
    places: dict[str, int] = {}
    roles = [*required, *optional]
    for role in roles:
        column = chosen.columns.get(role)
        if column is not None and column != _NOT_THERE and (has_pairs or role not in OF_PAIRS or _has(table, column)):
            places[role] = _named(table, role, column)
    absent = {role for role in optional if chosen.columns.get(role) == _NOT_THERE}
    if table.header:
        for role in roles:
            if role not in places and role not in absent:
                _by_header(table, role, role in required, places)
    else:
        free = [place for place in range(table.num_columns) if place not in places.values()]
        for role, place in zip([role for role in roles if role not in places and role != "part"], free):
            places[role] = place
        places = {role: place for role, place in places.items() if role not in absent}
    if lacking := [role for role in required if role not in places]:
        columns = ", ".join(table.header) or f"{table.num_columns} columns without a header"
        raise DataError(
            f"{table.path}: wanted columns of {' and '.join(required)}, got {columns}, of which none is known to be "
            f"the {' and the '.join(lacking)}; say which: --data.columns {' '.join(f'{role}=NAME' for role in lacking)}"
        )
    stated = list(table.notes)
    if table.header:
        stated.append(
            f"columns of {table.path.name}: " + ", ".join(f"{r} = {table.header[p]}" for r, p in places.items())
        )
        ignored = [title for place, title in enumerate(table.header) if place not in places.values()]
        stated += [f"columns of {table.path.name} not used: {', '.join(ignored)}"] if ignored else []
        if has_pairs:
            stated += _offers(table, [role for role in optional if role not in {*places, *absent}], places)
    return places, stated


_LOOKED_AT = 200  # rows


def _offers(table: Table, lacking: Sequence[str], places: Mapping[str, int]) -> list[str]:
    """The options by which unused columns of dates, or the only one of small numbers, would be the time or the value.

    lacking: optional roles without a column.
    """
    free = [place for place in range(table.num_columns) if place not in places.values()]
    texts = {place: [table.text(row, place) for row in range(min(len(table), _LOOKED_AT))] for place in free}
    dates = [place for place in free if all(map(_is_date, texts[place]))]
    numbers = [place for place in free if place not in dates and all(map(_is_value, texts[place]))]
    offers = []
    if "time" in lacking and dates:
        title = table.header[dates[0]]
        offers.append(f"{title} holds dates: pairs are ordered by them with --data.columns time={title}")
    if "value" in lacking and len(numbers) == 1:
        title = table.header[numbers[0]]
        offers.append(f"{title} holds numbers: if they are ratings or counts, --data.columns value={title}")
    return offers


def _is_date(text: str) -> bool:
    """Whether a field is a date as ISO 8601 has them, or a whole number of seconds to nanoseconds since 2001."""
    if text.isdigit():
        return 1e9 <= int(text) < 9.3e18 if len(text) <= 19 else False
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return len(text) >= len("2014-03-01") and text[4] == "-"


def _is_value(text: str) -> bool:
    """Whether a field is a number above 0, as ratings and counts are."""
    try:
        return 0 < float(text) <= LARGEST_VALUE
    except ValueError:
        return False


def _has(table: Table, column: str) -> bool:
    """Whether one column of the table has that name."""
    return [plain_name(title) for title in table.header].count(plain_name(column)) == 1


def _named(table: Table, role: str, column: str) -> int:
    """The place of a column that the user named, by its title or its number."""
    plain = [plain_name(title) for title in table.header]
    if column in table.header:
        return table.header.index(column)
    if plain.count(plain_name(column)) == 1:
        return plain.index(plain_name(column))
    if column.isdigit() and 1 <= int(column) <= table.num_columns:
        return int(column) - 1
    there = ", ".join(table.header) or f"columns 1 to {table.num_columns} without names"
    raise DataError(f"{table.path}: --data.columns {role}={column} names a column that is not there, got {there}")


def _by_header(table: Table, role: str, is_required: bool, places: dict[str, int]) -> None:
    """The column whose name is known for a role. Of several, an optional role takes the name that stands first in the
    list; a required one must be said."""
    plain = [plain_name(title) for title in table.header]
    found = [plain.index(name) for name in NAMES[role] if name in plain and plain.index(name) not in places.values()]
    if is_required and len(found) > 1:
        got = " and ".join(table.header[place] for place in found)
        raise DataError(
            f"{table.path}: wanted one column of {role}, got {got}; say which: "
            f"--data.columns {role}={table.header[found[0]]}"
        )
    if found:
        places[role] = found[0]
