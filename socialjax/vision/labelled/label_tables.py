"""Tables of pictures with labelled attributes, on which attribute networks train, and what readers share."""

import csv
import dataclasses
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from socialjax.data.schema import PARTS, Provenance
from socialjax.formats.file_bytes import DataError, read_bytes
from socialjax.formats.picture_files import PictureFiles

UNLABELLED = -1


@dataclasses.dataclass(frozen=True)
class LabelledPictures:
    """N pictures with up to one class for each of K attributes.

    Labels are partial: -1 means not annotated, which is neither "absent" nor class 0.

    Attributes:
        name: of the set.
        names: of the attributes.
        classes: names of the classes of each.
        labels: i16[N, K].
        part: u8[N], 0 train, 1 validation, 2 test.
        ids: str[N].
        provenance: of the set.
        folder: folder or tar archive of the files.
        files: str[N], below `folder`.
        pixels: u8[N, H, W, 3], in place of files, of synthetic or small pictures.
        groups: str[N], product groups, "" where unknown.
        boxes: f32[N, K, B, 4], true boxes (x0, y0, x1, y1), half-open, in fractions of width and height, NaN where
            there is none; None without annotated boxes.
    """

    name: str
    names: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    labels: np.ndarray
    part: np.ndarray
    ids: np.ndarray
    provenance: Provenance
    folder: str | None = None
    files: np.ndarray | None = None
    pixels: np.ndarray | None = None
    groups: np.ndarray | None = None
    boxes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, part: str) -> np.ndarray:
        """Numbers of the pictures of a part, i64[n]."""
        return np.flatnonzero(self.part == PARTS.index(part))

    def take(self, rows: np.ndarray) -> "LabelledPictures":
        """The given pictures, in the given order."""
        columns = ("labels", "part", "ids", "files", "pixels", "groups", "boxes")
        taken = {name: getattr(self, name)[rows] for name in columns if getattr(self, name) is not None}
        return dataclasses.replace(self, **taken)


LARGEST = 256 << 20  # bytes of a table
RATIOS = (0.1, 0.1)  # validation, test, of sets without parts of their own


@dataclasses.dataclass(frozen=True)
class Rows:
    """A csv file as columns of stripped text, with the line on which each row ends, and the file's sha256."""

    path: Path
    columns: dict[str, list[str]]
    line: list[int]
    sha256: str

    def __len__(self) -> int:
        return len(self.line)

    def error(self, row: int, wanted: str, came: str, advice: str) -> DataError:
        return DataError(f"{self.path}, line {self.line[row]}: wanted {wanted}, got {came[:60]!r}; {advice}")


def read_rows(path: Path, names: Sequence[str], header: bool = True) -> Rows:
    """The columns called `names`, and all others where there is a header; without one, `names` are all there are.

    Raises DataError for a file that is no UTF-8, lacks columns, has only a header, or has a row of another length.
    """
    file = read_bytes(path, LARGEST)
    try:
        reader = csv.reader(io.StringIO(file.data.decode("utf-8-sig"), newline=""), strict=True)
        rows = [(reader.line_num, [field.strip() for field in row]) for row in reader if row]
    except UnicodeDecodeError as problem:
        raise DataError(
            f"{path}: wanted UTF-8 text, got byte {problem.object[problem.start]:#x}; save it as UTF-8"
        ) from None
    except csv.Error as problem:
        raise DataError(
            f"{path}, line {reader.line_num}: wanted fields parted by commas, {problem}; correct it"
        ) from None
    column_names = rows.pop(0)[1] if header and rows else list(names)
    lacks = [name for name in names if name not in column_names]
    if lacks or len(set(column_names)) != len(column_names):
        raise DataError(
            f"{path}, line 1: wanted a header with the columns {', '.join(names)}, each once, got "
            f"{', '.join(column_names)[:200]}; name the columns so"
        )
    if not rows:
        raise DataError(f"{path}: wanted rows, got none; copy or download it again")
    for line, row in rows:
        if len(row) != len(column_names):
            raise DataError(
                f"{path}, line {line}: wanted {len(column_names)} fields, got {len(row)}; quote fields with commas"
            )
    columns = {name: [row[place] for _, row in rows] for place, name in enumerate(column_names)}
    return Rows(Path(path), columns, [line for line, _ in rows], file.sha256)


def coded(texts: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Texts as classes i16[N] in the order of their names, "" as unlabelled; and the names."""
    classes = tuple(sorted(set(texts) - {""}))
    place = {text: row for row, text in enumerate(classes)} | {"": UNLABELLED}
    return np.array([place[text] for text in texts], np.int16), classes


def drawn_parts(ids: Sequence[str], seed: int = 0, ratios: tuple[float, float] = RATIOS) -> np.ndarray:
    """Parts u8[N] by a hash of (seed, id): a picture keeps its part whatever other pictures there are.

    ratios: the shares of validation and test.
    """
    digests = (hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in ids)
    chance = np.array([int.from_bytes(digest[:6], "big") for digest in digests], np.float64) / 2**48
    return np.where(chance < ratios[0], 1, np.where(chance < sum(ratios), 2, 0)).astype(np.uint8)


def finished(pictures: LabelledPictures) -> LabelledPictures:
    """Drops the rows whose picture is missing, and states it in the provenance.

    The provenance also names the groups without any label, whose pictures stay, though nothing can be learned from
    them.

    Args:
        pictures: as read.

    Returns:
        The pictures that exist.

    Raises:
        DataError: no picture exists.
    """
    files = PictureFiles(pictures.folder)
    missing = set(files.missing(pictures.files.tolist()))
    kept = np.array([name not in missing for name in pictures.files.tolist()], bool)
    if not kept.any():
        raise DataError(
            f"{pictures.folder}: wanted the pictures of {pictures.name}, such as {pictures.files[0]}, got none "
            f"of {len(kept)}; unpack them there, or correct the path"
        )
    repairs = []
    if missing:
        repairs.append(f"{(~kept).sum()} rows without a picture are left out, such as {pictures.files[~kept][0]!s}")
        pictures = pictures.take(np.flatnonzero(kept))
    if pictures.groups is not None:
        labelled = (pictures.labels != UNLABELLED).any(axis=1)
        for group in sorted(set(pictures.groups.tolist()) - set(pictures.groups[labelled].tolist())):
            repairs.append(f"group {group!r} has no labelled attribute: {(pictures.groups == group).sum()} pictures")
    provenance = dataclasses.replace(pictures.provenance, repairs=(*pictures.provenance.repairs, *repairs))
    return dataclasses.replace(pictures, provenance=provenance)


ATTRIBUTES = ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage")
PART_NUMBERS = {"train": 0, "val": 1, "test": 2}
SOURCE = "Fashion Product Images (Small), kaggle.com/paramaggarwal/fashion-product-images-small"
LICENCE = "not stated; a shop's catalogue, local experiments only"


def read_fashion_products(folder: Path) -> LabelledPictures:
    """All rows with a picture; groups are the master categories. Raises DataError as `label_tables` does, and for a
    part that is none."""
    folder = Path(folder)
    rows = read_rows(folder / "styles.csv", ("id", *ATTRIBUTES, "split"))
    split = rows.columns["split"]
    for row, part in enumerate(split):
        if part not in PART_NUMBERS:
            raise rows.error(row, "the part train, val or test", part, "correct the column split")
    labels, classes = zip(*(coded(rows.columns[name]) for name in ATTRIBUTES))
    archive = folder / "images.tar"
    if not archive.is_file() and not (folder / "images").is_dir():
        raise DataError(f"{folder}: wanted images.tar or a folder images, got neither; put the pictures there")
    return finished(
        LabelledPictures(
            name="fashion_products",
            names=ATTRIBUTES,
            classes=classes,
            labels=np.stack(labels, axis=1),
            part=np.array([PART_NUMBERS[part] for part in split], np.uint8),
            ids=np.array(rows.columns["id"]),
            provenance=Provenance("real", SOURCE, LICENCE, {"styles.csv": rows.sha256}),
            folder=str(archive if archive.is_file() else folder),
            files=np.array([f"images/{name}.jpg" for name in rows.columns["id"]]),
            groups=np.array(rows.columns["masterCategory"]),
        )
    )


TABLE, PAIRS, ARCHIVE = "pictures.csv", "interactions.csv", "images.tar"
NOT_ATTRIBUTES = ("image", "id", "title", "group", "split")


def is_here(folder: Path) -> bool:
    """Whether a folder has this form."""
    return (Path(folder) / TABLE).is_file()


def read(folder: Path, name: str | None = None, seed: int = 0) -> LabelledPictures:
    """The labelled pictures, in the order of the table. Without a column `split` a tenth is validation, a tenth test.

    Args:
        folder: of the table and pictures.
        name: of the set; by default that of the folder.
        seed: of the parts.

    Returns:
        The labelled pictures.

    Raises:
        DataError: a table without attributes, a duplicate id or image, an unknown part, and as `label_tables` does.
    """
    folder = Path(folder)
    rows = read_rows(folder / TABLE, ("image",))
    attributes = tuple(name for name in rows.columns if name not in NOT_ATTRIBUTES)
    if not attributes:
        raise DataError(f"{rows.path}, line 1: wanted a column for each attribute, got none; add neckline, sleeve, ...")
    ids = rows.columns.get("id", rows.columns["image"])
    for kind, column in (("id", ids), ("image", rows.columns["image"])):
        first: dict[str, int] = {}
        for row, text in enumerate(column):
            if not text or first.setdefault(text, row) != row:
                raise rows.error(row, f"{kind}s that are not blank and stand once", text, "drop the row or correct it")
    parts = rows.columns.get("split")
    for row, part in enumerate(parts or ()):
        if part not in PART_NUMBERS:
            raise rows.error(row, "the part train, val or test", part, "correct the column split")
    labels, classes = zip(*(coded(rows.columns[attribute]) for attribute in attributes))
    archive = folder / ARCHIVE
    groups = rows.columns.get("group")
    return finished(
        LabelledPictures(
            name=name or folder.name,
            names=attributes,
            classes=classes,
            labels=np.stack(labels, axis=1),
            part=drawn_parts(ids, seed)
            if parts is None
            else np.array([PART_NUMBERS[part] for part in parts], np.uint8),
            ids=np.array(ids),
            provenance=Provenance("real", str(folder), files={TABLE: rows.sha256}),
            folder=str(archive if archive.is_file() else folder),
            files=np.array(rows.columns["image"]),
            groups=None if groups is None else np.array(groups),
        )
    )
