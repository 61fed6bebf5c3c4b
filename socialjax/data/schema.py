"""The schema of all data sets, whatever their files: columns, a split, and their provenance."""

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np

Kind = Literal["real", "stand-in", "planted"]
PARTS = ("train", "validation", "test")
_EXAMPLES = 3  # ids in a message


@dataclasses.dataclass(frozen=True)
class Interactions:
    """Interactions of users with items, as columns.

    Attributes:
        user: i32[N].
        item: i32[N].
        value: f32[N], where the file has it.
        time: i64[N], seconds, where the file has it.
    """

    user: np.ndarray
    item: np.ndarray
    value: np.ndarray | None = None
    time: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray) -> "Interactions":
        """The given rows (indices or a mask) of every column."""
        return Interactions(*(None if column is None else column[rows] for column in self.columns()))

    def columns(self) -> tuple[np.ndarray | None, ...]:
        return self.user, self.item, self.value, self.time


@dataclasses.dataclass(frozen=True)
class Links:
    """Who follows whom, as in the file; undirected files list both directions.

    Attributes:
        follower: i32[E], receivers of messages.
        followee: i32[E], senders of messages.
    """

    follower: np.ndarray
    followee: np.ndarray

    def __len__(self) -> int:
        return len(self.follower)


@dataclasses.dataclass(frozen=True)
class Frames:
    """Images of items, ragged: those of item i are rows offsets[i]..offsets[i + 1] - 1. An item may have none.

    Attributes:
        offsets: i64[I + 1].
        features: f16 or f32 [L, F].
        names: str[L], the picture's file, for people.
    """

    offsets: np.ndarray
    features: np.ndarray
    names: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.features)

    @property
    def item(self) -> np.ndarray:
        """The item of each frame, i32[L]."""
        return np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int32), np.diff(self.offsets))


@dataclasses.dataclass(frozen=True)
class FrameLikes:
    """Frames that users are known to like: the ground truth of key frames, never read in training or early stopping.

    Attributes:
        user: i32[N].
        item: i32[N], to which the frame belongs.
        frame: i32[N], row of `Frames.features`.
    """

    user: np.ndarray
    item: np.ndarray
    frame: np.ndarray

    def __len__(self) -> int:
        return len(self.user)


@dataclasses.dataclass(frozen=True)
class Attributes:
    """Named visual attributes of items (neckline, heel height), as an attribute network located them on each picture:
    SAERS's semantic space (docs/saers.md).

    Attributes:
        names: K attributes.
        classes: the names of each one's classes.
        features: f32[I, K, F], of the region.
        valid: bool[I, K], whether the item has the attribute.
        label: i16[I, K], its class, -1 where there is none.
        probability: f32[I, K], of that class.
        boxes: f32[I, K, 4], (x0, y0, x1, y1), half-open, in fractions of the picture's width and height.
        fallback: bool[I, K], no region stood out and the box is the whole picture.
    """

    names: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    features: np.ndarray
    valid: np.ndarray
    label: np.ndarray
    probability: np.ndarray
    boxes: np.ndarray
    fallback: np.ndarray

    def __len__(self) -> int:
        return len(self.features)


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where the columns come from.

    Attributes:
        kind: whether they are real.
        source: address, folder or generator.
        licence: of the data.
        files: name -> sha256.
        repairs: what was changed while reading.
        published: of a published set, `as published` or `altered: FILE, FILE`.
    """

    kind: Kind
    source: str
    licence: str = "not stated"
    files: dict[str, str] = dataclasses.field(default_factory=dict)  # file name -> sha256
    repairs: tuple[str, ...] = ()
    published: str = ""

    def as_dict(self) -> dict:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Columns of one data set. Optional parts are None when absent (absent is not zero).

    Attributes:
        name: of the set.
        num_users: U.
        num_items: I.
        train: training interactions.
        validation: for choosing the epoch and settings.
        test: for the final figures.
        provenance: where the columns come from.
        links: directed, as published.
        user_features: f32[U, Fu].
        item_features: f32[I, Fi].
        owners: i32[I], the user who made each item, -1 where unknown.
        social_features: f32[U, Fs], users by their position in the social graph.
        user_names: str[U], the ids of the file, position = row number.
        item_names: str[I], the same for items.
        item_titles: str[I], for people.
        frames: images of items.
        frame_likes: which frames users like, for tests only.
        attributes: what the items' pictures show.
        item_groups: str[I], the product group (tops, shoes), "" where unknown.
        item_pictures: str[I], the file of each item's picture, "" without one.
    """

    name: str
    num_users: int
    num_items: int
    train: Interactions
    validation: Interactions
    test: Interactions
    provenance: Provenance
    links: Links | None = None
    user_features: np.ndarray | None = None
    item_features: np.ndarray | None = None
    owners: np.ndarray | None = None
    social_features: np.ndarray | None = None
    user_names: np.ndarray | None = None
    item_names: np.ndarray | None = None
    item_titles: np.ndarray | None = None
    frames: Frames | None = None
    frame_likes: FrameLikes | None = None
    attributes: Attributes | None = None
    item_groups: np.ndarray | None = None
    item_pictures: np.ndarray | None = None

    @classmethod
    def from_pairs(
        cls,
        users: Any,
        items: Any = None,
        values: Any = None,
        times: Any = None,
        *,
        links: Any = None,
        item_features: Any = None,
        user_features: Any = None,
        item_titles: Any = None,
        name: str = "mine",
        **options: Any,
    ) -> "Dataset":
        """A data set of columns in memory: split, repaired and checked as one that is read from files.

        Args:
            users: of each pair, [N]; or, alone, a frame (pandas, Polars, Arrow) or dict with named columns.
            items: of each pair, [N].
            values: ratings or counts, [N].
            times: seconds since 1970, dates or datetimes, [N].
            links: who follows whom: a tuple of followers and followees, each [E], or a frame.
            item_features: a tuple of item ids [I] and numbers [I, F], or a frame with a column of ids.
            user_features: the same of users.
            item_titles: a dict of id -> title, a tuple of the two columns, or a frame.
            name: what the set is called.
            **options: how it is split and filtered: `split`, `ratios`, `k_core`, `min_value`, `repeats`, `cold_users`,
                `cold_items`, `validation`, `seed`, `columns`, as of `--data.*`.

        Returns:
            The data set. `provenance.repairs` states what was repaired, dropped and joined.

        Raises:
            DataError: columns that cannot be used, with the row, counted from 1; an unknown option.
        """
        from socialjax.data.own import folder  # here, since files become what this module defines

        columns = {"user": users, "item": items, "value": values, "time": times}
        return folder.from_frames(
            users if items is None else {role: column for role, column in columns.items() if column is not None},
            links,
            item_features,
            user_features,
            item_titles,
            name,
            folder.options_of(folder.FolderOptions, options),
        )

    @classmethod
    def from_folder(cls, path: Path | str, name: str | None = None, **options: Any) -> "Dataset":
        """The data set in a folder of tables (docs/data.md).

        Args:
            path: the folder.
            name: of its files, `NAME.rating` or `NAME.csv`; by default that of the folder, or the only one there is.
            **options: as for `from_pairs`, and `features`, `separator` and `encoding`.

        Raises:
            DataError: no such files, or files that cannot be used, with the line.
        """
        from socialjax.data import sources

        return sources.from_folder(Path(path), name, options)

    @functools.cached_property
    def users(self) -> "Ids":
        """The users as people type them."""
        return Ids("user", self.name, self.num_users, self.user_names)

    @functools.cached_property
    def items(self) -> "Ids":
        """The items as people type them."""
        return Ids("item", self.name, self.num_items, self.item_names, self.item_titles)

    def parts(self) -> dict[str, Interactions]:
        return {part: getattr(self, part) for part in PARTS}

    def describe_user(self, user: int) -> str:
        return str(user) if self.user_names is None else str(self.user_names[user])

    def describe_item(self, item: int) -> str:
        """The title if there is one, else the id of the file, else the row number."""
        for names in (self.item_titles, self.item_names):
            if names is not None and str(names[item]):
                return str(names[item])
        return str(item)


def counts(data: Dataset) -> dict[str, int]:
    """The numbers that loaders compare with the published ones."""
    return {
        "users": data.num_users,
        "items": data.num_items,
        **{part: len(pairs) for part, pairs in data.parts().items()},
        "links": 0 if data.links is None else len(data.links),
        **({} if data.frames is None else {"frames": len(data.frames)}),
        **({} if data.frame_likes is None else {"frame likes": len(data.frame_likes)}),
        **({} if data.attributes is None else {"attributes": len(data.attributes.names)}),
    }


def interactions(user, item, value=None, time=None) -> Interactions:
    """Columns of the right type from anything NumPy can read."""
    return Interactions(
        np.asarray(user, np.int32),
        np.asarray(item, np.int32),
        None if value is None else np.asarray(value, np.float32),
        None if time is None else np.asarray(time, np.int64),
    )


def taken_by_row(items: np.ndarray) -> Interactions:
    """User u took items[u]; items i[U, n]."""
    return interactions(np.repeat(np.arange(len(items)), items.shape[1]), np.ravel(items))


def no_interactions() -> Interactions:
    return interactions([], [])


def pair_keys(pairs: Interactions, num_items: int) -> np.ndarray:
    """i64[N], a key of each pair, equal exactly for equal (user, item)."""
    return pairs.user.astype(np.int64) * num_items + pairs.item


def stated(data: Dataset, *repairs: str) -> Dataset:
    """`data` with more repairs in its provenance."""
    provenance = dataclasses.replace(data.provenance, repairs=(*data.provenance.repairs, *repairs))
    return dataclasses.replace(data, provenance=provenance)


class UnknownId(ValueError):
    """An id, or a title, that a data set does not have."""


class Ids:
    """Row numbers of users or items as people type them: ids of the file, or titles that one item alone has.

    Args:
        kind: user or item, for messages.
        of: the name of the data set.
        size: how many there are.
        names: U[size], the ids of the file; None where they are the row numbers.
        titles: U[size], or None; what is no id is looked up there.
    """

    def __init__(self, kind: str, of: str, size: int, names: np.ndarray | None, titles: np.ndarray | None = None):
        self._kind, self._of, self._size, self._names, self._titles = kind, of, size, names, titles

    def numbers(self, values: Any) -> np.ndarray:
        """Row numbers i32[N] of ids, or of one.

        Raises UnknownId for what is not there, with the range or examples of the ids that are, and ValueError for a
        title of several items.
        """
        one = isinstance(values, str) or not isinstance(values, Iterable)
        return np.array([self._number(str(value).strip()) for value in ([values] if one else values)], np.int32)

    def typed(self, number: int) -> int | str:
        """The id under which `numbers` finds that row."""
        return int(number) if self._names is None else str(self._names[number])

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        return {} if self._names is None else {name: row for row, name in enumerate(self._names.tolist())}

    def _number(self, text: str) -> int:
        if self._names is None and text.isdecimal() and int(text) < self._size:
            return int(text)
        if text in self._rows:
            return self._rows[text]
        # An item without a title has an empty one, which NumPy holds for equal to zero characters.
        if self._titles is not None and text and "\0" not in text:
            rows = np.flatnonzero(self._titles == text)
            if len(rows) > 1:
                examples = ", ".join(str(self.typed(row)) for row in rows)
                many = f"data set '{self._of}' has {len(rows)} {self._kind}s titled '{text}'"
                raise ValueError(f"{many}; name one by its id: {examples}")
            if len(rows):
                return int(rows[0])
        if self._names is None:
            called = f"its {self._kind}s are the numbers 0 to {self._size - 1}"
        else:
            examples = ", ".join(map(str, self._names[:_EXAMPLES]))
            called = f"its {self._size} {self._kind}s are called {examples}, ..."
        raise UnknownId(f"data set '{self._of}' has no {self._kind} '{text}'; {called}")
