"""The work of each step of a preparation: reads what earlier steps left, within the memory that is left."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from socialjax import stop
from socialjax.data import split
from socialjax.data.large import text_ids
from socialjax.data.large.array_files import ArrayWriter, merged_pieces, read_array, read_pieces, write_array
from socialjax.data.large.csr_files import count_rows, write_csr, write_offsets
from socialjax.data.large.external_sort import Sorter, pack, unpack
from socialjax.data.large.inputs import Source
from socialjax.data.large.layout import BYTE, COLUMN, OFFSET, ArrayFile
from socialjax.data.large.numbering import Rows, k_core
from socialjax.data.large.settings import PrepareSettings, Room
from socialjax.data.large.steps import Done, Journal
from socialjax.data.schema import Interactions
from socialjax.formats.file_bytes import DataError

KEY, FLAG = "<u8", "|b1"
READ = 1 << 18  # numbers at a time
TEXTS = 1 << 16  # ids at a time
SPLIT_BYTES = 250  # for a pair that is split: 85 measured, and the pairs of the last user wait for the next piece
SHARE = 0.7  # of what is left, for keys that are sorted: their peak is 1.2 times the buffer


class Stages:
    """Args: the journal, the settings, what is left of the memory in bytes, and whether to show bars."""

    def __init__(self, journal: Journal, settings: PrepareSettings, room: Room, progress: bool):
        self._journal, self._settings, self._room, self._progress = journal, settings, room, progress
        self._folder, self._work = journal.folder, journal.work
        self._numbered, self._text = settings.ids == "row numbers", settings.ids == "text"

    def read(self, source: Source, name: str, left: str, right: str) -> Done:
        """The columns of a source as integers, and the distinct ids of each: users and items, or linked users alone."""
        kinds = tuple(dict.fromkeys((left, right)))
        sorters = {kind: self._sorter(f"{kind}_runs", 1 / len(kinds)) for kind in kinds}
        texts = {kind: text_ids.Dictionary(self._work / f"{kind}_texts") for kind in kinds} if self._text else {}
        for each in texts.values():
            each.begin()
        with ArrayWriter(self._work / f"{name}_raw.npy", OFFSET) as raw:
            for piece in self._bar(source.pieces(self._settings.chunk_rows, self._text), f"read {name}s"):
                columns = [texts[kind].add(ids) if self._text else ids for kind, ids in zip((left, right), piece)]
                raw.append(np.stack(columns, axis=1).ravel())
                for kind, ids in zip((left, right), columns):
                    sorters[kind].add(ids.astype(np.uint64))
        for each in texts.values():
            each.end()
        ids = {kind: self._write(f"{kind}_ids", OFFSET, sorter.merged()) for kind, sorter in sorters.items()}
        return Done(work={f"{name}_raw": raw.written, **{f"{kind}_ids": file for kind, file in ids.items()}})

    def sort_pairs(self, source: Source | None) -> Done:
        """Distinct pairs, packed, in order: of the source where ids are row numbers, else of what `read` left."""
        if source is not None:
            users, items = Rows.upto(self._settings.num_users), Rows.upto(self._settings.num_items)
        else:
            users, items = (Rows(self._ids(kind)) for kind in ("users", "items"))
        sorter = self._sorter("pair_runs")
        for left, right in self._raw(source, "pair"):
            user, item = users.of(left), items.of(right)
            self._require(user, left, "users", users.size)
            self._require(item, right, "items", items.size)
            sorter.add(pack(user, item))
        del users, items
        written = self._write("pair_sorted", KEY, sorter.merged())
        if not written.length:
            raise DataError(f"{self._folder}: wanted pairs, got none; check the input")
        notes = _counted(sorter.added - written.length, "duplicate pairs dropped, one of each kept")
        return Done(work={"pair_sorted": written}, notes=notes)

    def core(self) -> Done:
        """Which users and items are in the k-core: flags, where there is one."""
        k, length = self._settings.k_core, self._length("pair_sorted")
        if not k:
            return Done()
        sizes = self._size("users"), self._size("items")
        self._room(reserved=18 * sum(sizes))
        users, items, kept = k_core(lambda: self._bar(self._keys(), f"{k}-core", length), *sizes, k)
        if not kept:
            raise DataError(f"{self._folder}: wanted pairs in the {k}-core, got none; lower k_core")
        flags = {"users_kept": users, "items_kept": items}
        written = {name: self._write(name, FLAG, iter([kept_ids])) for name, kept_ids in flags.items()}
        return Done(work=written, notes=_counted(length - kept, f"pairs outside the {k}-core dropped"))

    def number(self, has_links: bool) -> Done:
        """The ids that have rows, in order: those of pairs in the core and, without a core, of linked users."""
        arrays, work, facts = {}, {}, {}
        self._room(reserved=24 * (self._size("users") + self._size("items")))
        for kind, one in (("users", "user"), ("items", "item")):
            ids, folders = self._ids(kind), [self._work / f"{kind}_texts"]
            if self._settings.k_core:
                ids = ids[read_array(self._work / f"{kind}_kept.npy", FLAG)]
            elif has_links and kind == "users":
                folders.append(self._work / "linked_texts")
                ids = np.concatenate([ids, self._ids("linked")])
                ids.sort()
                ids = ids[np.diff(ids, prepend=-1) != 0]
            work[f"{kind}_rows"] = self._write(f"{kind}_rows", OFFSET, iter([ids]))
            facts[f"num_{kind}"] = len(ids)
            if self._text:
                facts[f"{one}_ids"] = "text"
                arrays |= self._write_texts(one, text_ids.texts_of(ids, folders))
            elif Rows(ids).are_row_numbers:
                facts[f"{one}_ids"] = "row numbers"
            else:
                facts[f"{one}_ids"] = "integers"
                arrays[f"{one}_ids"] = write_array(self._folder / f"{one}_ids.npy", OFFSET, iter([ids]))
        return Done(arrays, work, facts)

    def split(self) -> Done:
        """The three parts in row numbers, users' items as CSR."""
        rows = self._rows_of_codes("users"), self._rows_of_codes("items")
        degree = np.zeros(self._num("users"), np.int32)
        at_once = int(np.clip(self._room(reserved=degree.nbytes) // SPLIT_BYTES, 1 << 12, 1 << 21))
        names = [f"{part}_{kind}" for part in ("train", "validation", "test") for kind in ("user", "item")]
        names[1] = "user_item_columns"
        writers = [ArrayWriter(self._folder / f"{name}.npy", COLUMN) for name in names]
        with writers[0], writers[1], writers[2], writers[3], writers[4], writers[5]:
            for pairs in _by_user(self._kept_pairs(rows, at_once)):
                if self._settings.split == "ratio":
                    parts = split.by_ratio(pairs, self._settings.ratios, self._settings.seed)
                else:
                    parts = split.leave_one_out(pairs, self._settings.seed)
                count_rows(degree, parts.train.user)
                columns = [column for part in parts for column in (part.user, part.item)]
                for writer, column in zip(writers, columns):
                    writer.append(column)
        written = {name: writer.written for name, writer in zip(names, writers)}
        return Done({**written, **write_offsets(self._folder, "user_item", "user", degree)})

    def item_users(self) -> Done:
        """Items' users as CSR."""
        sorter = self._sorter("item_runs")
        files = ((self._folder / f"{name}.npy", COLUMN) for name in ("train_user", "user_item_columns"))
        for user, item in self._bar(merged_pieces(*files, rows=READ), "turn pairs"):
            sorter.add(pack(item, user))
        return Done(write_csr(self._folder, "item_user", "item", self._checked(sorter.merged()), self._num("items")))

    def follows(self, source: Source | None) -> Done:
        """Whom each user follows as CSR; links to oneself and of users without rows are dropped."""
        users = Rows.upto(self._settings.num_users) if source is not None else Rows(self._final("users"))
        has_pairs = None
        if source is not None and self._settings.k_core:
            has_pairs = read_array(self._work / "users_kept.npy", FLAG)
        sorter, selves, outside = self._sorter("link_runs"), 0, 0
        for left, right in self._raw(source, "link"):
            follower, followee = users.of(left), users.of(right)
            if source is not None:
                self._require(follower, left, "users", users.size)
                self._require(followee, right, "users", users.size)
            known = (follower >= 0) & (followee >= 0)
            if has_pairs is not None:
                known &= has_pairs[follower] & has_pairs[followee]
            proper = known & (left != right)
            selves += int((known & (left == right)).sum())
            outside += int((~known).sum())
            sorter.add(pack(follower[proper], followee[proper]))
        del users, has_pairs
        arrays = write_csr(self._folder, "follows", "follows", self._checked(sorter.merged()), self._num("users"))
        twice = sorter.added - arrays["follows_columns"].length
        notes = (
            *_counted(selves, "links of users to themselves dropped"),
            *_counted(outside, f"links of users outside the {self._settings.k_core}-core dropped"),
            *_counted(twice, "duplicate links dropped, one of each kept"),
        )
        return Done(arrays, notes=notes)

    def followed_by(self) -> Done:
        """The links turned round."""
        sorter = self._sorter("back_runs")
        degree = read_array(self._folder / "follows_degree.npy", COLUMN)
        ends, at = np.cumsum(degree, dtype=np.int64), 0
        for followee in self._bar(read_pieces(self._folder / "follows_columns.npy", COLUMN, READ), "turn links"):
            stop_at = at + len(followee)
            rows = slice(int(np.searchsorted(ends, at, "right")), int(np.searchsorted(ends, stop_at)) + 1)
            inside = np.minimum(ends[rows], stop_at) - np.maximum(ends[rows] - degree[rows], at)
            follower = np.repeat(np.arange(rows.start, rows.stop), inside)
            at = stop_at
            sorter.add(pack(followee, follower))
        del ends, degree
        merged = self._checked(sorter.merged())
        return Done(write_csr(self._folder, "followed_by", "followed_by", merged, self._num("users")))

    def _raw(self, source: Source | None, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Two columns of ids i64[n] at a time."""
        if source is not None:
            yield from self._bar(source.pieces(self._settings.chunk_rows, False), f"read {name}s")
        else:
            read = read_pieces(self._work / f"{name}_raw.npy", OFFSET, 2 * READ)
            for piece in self._bar(read, f"sort {name}s", self._length(f"{name}_raw")):
                yield piece[::2], piece[1::2]

    def _require(self, rows: np.ndarray, ids: np.ndarray, kind: str, size: int) -> None:
        if len(rows) and rows.min() < 0:
            came = int(ids[rows < 0][0])
            raise DataError(f"{self._folder}: wanted {kind} in 0..{size - 1}, got {came}; raise num_{kind}")

    def _kept_pairs(self, rows: tuple[Any, Any], at_once: int) -> Iterator[Interactions]:
        """Pairs of the core in row numbers, by user, then item."""
        for piece in self._bar(self._keys(at_once), "split", self._length("pair_sorted")):
            columns = [ids if of is None else of[ids] for of, ids in zip(rows, unpack(piece))]
            kept = (columns[0] >= 0) & (columns[1] >= 0)
            yield Interactions(*(column[kept].astype(np.int32) for column in columns))

    def _rows_of_codes(self, kind: str) -> np.ndarray | None:
        """The row i32 of each id of `read`, -1 outside the core; None where they are the same."""
        kept = read_array(self._work / f"{kind}_kept.npy", FLAG) if self._settings.k_core else None
        if self._numbered:
            return None if kept is None else np.where(kept, np.arange(len(kept), dtype=np.int32), -1)
        if self._num(kind) == self._size(kind) and kept is None:
            return None
        return Rows(self._final(kind)).of(self._ids(kind)).astype(np.int32)

    def _write_texts(self, one: str, texts: Iterator[bytes]) -> dict[str, ArrayFile]:
        name, total = f"{one}_ids", 0
        with (
            ArrayWriter(self._folder / f"{name}_offsets.npy", OFFSET) as offsets,
            ArrayWriter(self._folder / f"{name}_text.npy", BYTE) as text,
        ):
            offsets.append(np.zeros(1, np.int64))
            while batch := [each for each, _ in zip(texts, range(TEXTS))]:
                ends = total + np.cumsum([len(each) for each in batch])
                total = int(ends[-1])
                offsets.append(ends)
                text.append(np.frombuffer(b"".join(batch), np.uint8))
        return {f"{name}_offsets": offsets.written, f"{name}_text": text.written}

    def _sorter(self, name: str, part: float = 1.0) -> Sorter:
        return Sorter(self._work / name, int(self._room() * SHARE * part) // 8)

    def _write(self, name: str, dtype: str, pieces: Iterator[np.ndarray]) -> ArrayFile:
        return write_array(self._work / f"{name}.npy", dtype, self._checked(pieces))

    def _keys(self, at_once: int = READ) -> Iterator[np.ndarray]:
        return read_pieces(self._work / "pair_sorted.npy", KEY, at_once)

    def _ids(self, kind: str) -> np.ndarray:
        return read_array(self._work / f"{kind}_ids.npy", OFFSET)

    def _final(self, kind: str) -> np.ndarray:
        return read_array(self._work / f"{kind}_rows.npy", OFFSET)

    def _length(self, name: str) -> int:
        return next(done.work[name].length for done in self._journal.done.values() if name in done.work)

    def _size(self, kind: str) -> int:
        """Users or items before the core."""
        return getattr(self._settings, f"num_{kind}") or self._length(f"{kind}_ids")

    def _num(self, kind: str) -> int:
        """Users or items in the end."""
        return getattr(self._settings, f"num_{kind}") or self._journal.fact(f"num_{kind}")

    @staticmethod
    def _checked(pieces: Iterator[Any]) -> Iterator[Any]:
        for piece in pieces:
            stop.check()
            yield piece

    def _bar(self, pieces: Iterator[Any], label: str, total: int | None = None) -> Iterator[Any]:
        """The pieces, with a bar of rows, until the program is asked to stop."""
        quiet = None if self._progress else True
        with tqdm(total=total, desc=label, unit="row", unit_scale=True, disable=quiet) as bar:
            for piece in self._checked(pieces):
                yield piece
                bar.update(len(piece[0]) if isinstance(piece, tuple) else len(piece))


def _by_user(pieces: Iterator[Interactions]) -> Iterator[Interactions]:
    """The same pairs, all of a user's in one piece."""
    held: list[Interactions] = []
    for piece in pieces:
        if not len(piece):
            continue
        begin = int(np.searchsorted(piece.user, piece.user[-1]))  # of the last user, who may go on
        if held and (begin or held[-1].user[-1] != piece.user[0]):
            same = int(np.searchsorted(piece.user, held[-1].user[-1], "right"))
            yield split.concatenate([*held, piece.take(slice(0, same))])
            piece, begin, held = piece.take(slice(same, None)), begin - same, []
        if begin > 0:
            yield piece.take(slice(0, begin))
            piece = piece.take(slice(begin, None))
        if len(piece):
            held.append(piece)
    if held:
        yield split.concatenate(held)


def _counted(number: int, what: str) -> tuple[str, ...]:
    return (f"{number} {what}",) if number else ()
