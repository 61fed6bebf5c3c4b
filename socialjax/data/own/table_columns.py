"""Tables of pairs, links and owners: which column holds what, by its place or by a header."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from socialjax.data.formats.file_bytes import read_bytes
from socialjax.data.formats.pairs_files import as_float32
from socialjax.data.formats.text_tables import Table, read_table

USER = frozenset("user user_id userid uid u reviewer reviewerid reviewer_id customer customer_id".split())
ITEM = frozenset(
    "item item_id itemid iid i product product_id asin parent_asin movie movieid movie_id business business_id "
    "artist artist_id artistid book book_id song song_id track track_id video video_id image image_id photo".split()
)
VALUE = frozenset("value rating score stars overall weight count plays label".split())
TIME = frozenset("time timestamp ts unixtime unix_time unixreviewtime".split())
FOLLOWER = frozenset("follower follower_id source from trustor truster user1".split())
OWNER = frozenset("owner owner_id creator creator_id author author_id uploader uploader_id by".split())
FOLLOWEE = frozenset("followee followee_id followed friend friend_id friendid target to trustee user2".split())


class PairsTable(NamedTuple):
    """One file of pairs.

    Attributes:
        table: its fields.
        user: column of the users.
        item: column of the items.
        value: f32[N], if there.
        time: i64[N], if there.
        stated: notes for the provenance.
    """

    table: Table
    user: int
    item: int
    value: np.ndarray | None
    time: np.ndarray | None
    stated: tuple[str, ...]


def read_pairs_table(path: Path, checksums: dict[str, str]) -> PairsTable:
    """`user item [value [time]]`, or any order under a header that names the columns."""
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    table = read_table(file, (2, 4), (USER, ITEM, VALUE, TIME), header=True)
    places = {"user": 0, "item": 1, "value": 2, "time": 3}
    stated = []
    if table.header:
        places = _places(table, {"user": USER, "item": ITEM, "value": VALUE, "time": TIME})
        ignored = [title for place, title in enumerate(table.header) if place not in places.values()]
        stated.append(f"line 1 of {path.name} read as a header: {', '.join(table.header)}")
        if ignored:
            stated.append(f"columns of {path.name} not used: {', '.join(ignored)}")
    has = {role: role in places and places[role] < table.num_columns for role in ("value", "time")}
    value = as_float32(table.numbers(places["value"], "a value"), path) if has["value"] else None
    time = table.seconds(places["time"]) if has["time"] else None
    return PairsTable(table, places["user"], places["item"], value, time, tuple(stated))


def read_links_table(path: Path, checksums: dict[str, str]) -> tuple[Table, int, int]:
    """`follower followee [anything]`: the table and the columns of the two, which a header may swap."""
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    table = read_table(file, (2, 4), (FOLLOWER | USER, FOLLOWEE | USER), header=True)
    places = _places(table, {"follower": FOLLOWER, "followee": FOLLOWEE}) if table.header else {}
    return table, places.get("follower", 0), places.get("followee", 1)


def read_owners_table(path: Path, checksums: dict[str, str]) -> tuple[Table, int, int]:
    """Who made what: the table and the columns of item and user. `.owners` begins with the item, `.uploads` with the
    user, unless a header says otherwise."""
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    table = read_table(file, (2, 4), (USER | OWNER, ITEM), header=True)
    first, second = ("item", ITEM), ("user", OWNER | USER)
    if path.name.removesuffix(".gz").endswith(".uploads"):
        first, second = second, first
    places = _places(table, dict((first, second))) if table.header else {first[0]: 0, second[0]: 1}
    return table, places["item"], places["user"]


def _places(table: Table, groups: dict[str, frozenset[str]]) -> dict[str, int]:
    """Role -> column by the header's names. The first two roles fall back to the first columns that are left."""
    places: dict[str, int] = {}
    for role, names in groups.items():
        place = next((p for p, title in enumerate(table.header) if title in names and p not in places.values()), None)
        if place is not None:
            places[role] = place
    for role in list(groups)[:2]:
        if role not in places:
            places[role] = next((p for p in range(table.num_columns) if p not in places.values()), 0)
    return places
