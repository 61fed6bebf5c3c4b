"""The frames of every item from a folder of videos and images, cached file by file, so that a stopped call resumes.

The key frames of a file are chosen on small pictures and then read again at the size that is kept.
"""

import dataclasses
import json
import logging
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from socialjax import npz_files, stop
from socialjax.atomic_write import atomic_write, sweep
from socialjax.data.cache import cache_folder, file_checksums, key_of
from socialjax.data.schema import Provenance
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible
from socialjax.vision.key_frames import video
from socialjax.vision.key_frames.cuts import CutSettings, find_cuts, key_frames, steps
from socialjax.vision.key_frames.video import MOST_BYTES, require_av

IMAGES = frozenset(ending for ending, name in video.FORMATS.items() if name == video.PICTURE)
VIDEOS = frozenset(video.FORMATS) - IMAGES


@dataclasses.dataclass(frozen=True)
class FrameSettings:
    """Settings of key frames.

    Attributes:
        at_most: key frames of a video.
        width: pixels across of the kept pictures.
        small_width: pixels across of the pictures that are compared.
        enough_intra: a video with this many intra frames per key frame is never decoded whole, only these frames are
            compared; a long film has thousands, a short clip one or two.
        unlike: difference from which two intra frames are of different shots.
        cuts: settings of shot cuts.
    """

    at_most: int = 8
    width: int = 256
    small_width: int = 96
    enough_intra: int = 8
    unlike: float = 0.15
    cuts: CutSettings = dataclasses.field(default_factory=CutSettings)

    def __post_init__(self):
        least = {"at_most": 1, "width": 2, "small_width": 2, "enough_intra": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"wanted {name} of at least {value}, got {getattr(self, name)}; raise it")


DEFAULT = FrameSettings()


@dataclasses.dataclass(frozen=True)
class KeyFrames:
    """The key frames of a file.

    Attributes:
        pictures: u8[k, h, w, 3].
        time_s: f64[k], seconds.
        position: i64[k], among the frames read.
        only_intra: whether these were the intra frames only.
    """

    pictures: np.ndarray
    time_s: np.ndarray
    position: np.ndarray
    only_intra: bool


def key_frames_of(path: Path, settings: FrameSettings = DEFAULT) -> KeyFrames:
    """The key frames of a video, or the one picture of an image file. Raises DataError as `video.read` does."""
    path = Path(path)
    if video.format_of(path) == video.PICTURE:
        picture = video.read(path, settings.width)
        return KeyFrames(picture.frames, picture.time_s, np.zeros(1, np.int64), False)
    small = video.read(path, settings.small_width, only_intra=True)
    only_intra = len(small.frames) >= settings.enough_intra * settings.at_most
    if only_intra:
        cuts = 1 + np.flatnonzero(steps(small.frames, settings.cuts) >= settings.unlike)
    else:
        small = video.read(path, settings.small_width)
        cuts = find_cuts(small.frames, settings.cuts)
    chosen = key_frames(small.frames, cuts, settings.at_most)
    kept = video.read(path, settings.width, only_intra, wanted=chosen)
    return KeyFrames(kept.frames, kept.time_s, chosen, only_intra)


log = logging.getLogger(__name__)
# Exceptions that one odd file may cause: no signal, no MemoryError, no full disk.
ODD = (ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)
FORMAT = 2  # raise when the same file and settings would give other frames


@dataclasses.dataclass(frozen=True)
class FrameTable:
    """Frames of items as columns; those of item i are the rows offsets[i] to offsets[i + 1] - 1, perhaps none.

    Attributes:
        item_names: str[I].
        offsets: i64[I + 1].
        time_s: f64[L], seconds in the source.
        source: i32[L], index into `sources`.
        place: i32[L], row in the file `kept[source]`.
        sources: files, relative to the folder.
        kept: cached key frames of each.
        skipped: {file: why} of files that could not be used.
        settings: how the frames were chosen.
        provenance: of the folder.
    """

    item_names: np.ndarray
    offsets: np.ndarray
    time_s: np.ndarray
    source: np.ndarray
    place: np.ndarray
    sources: tuple[str, ...]
    kept: tuple[Path, ...]
    skipped: dict[str, str]
    settings: FrameSettings
    provenance: Provenance

    def __len__(self) -> int:
        return len(self.source)

    def pictures(self, source: int) -> np.ndarray:
        """u8[k, h, w, 3], the key frames of a source in the order of their rows."""
        return _load(self.kept[source]).pictures

    def picture(self, row: int) -> np.ndarray:
        """u8[h, w, 3] of one row."""
        return self.pictures(self.source[row])[self.place[row]]


def frames_of(
    folder: Path, settings: FrameSettings = DEFAULT, cache: Path | None = None, progress: bool = True
) -> FrameTable:
    """Key frames of all items of a folder: its videos are items, and so are its subfolders, with all files in them.

    An item is named like its video without the extension, or like its subfolder. Each result is cached under the file's
    sha256 and the settings, so that a stopped call resumes at the file it was at. A file that cannot be used is
    skipped, with a warning and a line in the table; its item stays. The limit of frames is for each file, not each
    item.

    Args:
        folder: of videos, or of subfolders of images and videos.
        settings: of key frames.
        cache: folder; $SOCIALJAX_CACHE/frames by default.
        progress: whether to show a progress bar.

    Returns:
        The frames.

    Raises:
        DataError: no such files, all of them damaged, or two items of one name.
    """
    folder = Path(folder)
    cache = Path(cache) if cache is not None else cache_folder() / "frames"
    cache.mkdir(parents=True, exist_ok=True)
    sweep(cache)
    root, (items, skipped) = folder.resolve(), _items(folder)
    for name, why in skipped.items():
        log.warning("skipped %s: %s", name, why)
    rows, sources, kept, sums = [], [], [], {}
    counts = np.zeros(len(items), np.int64)
    todo = [(item, path) for item, paths in enumerate(items.values()) for path in paths]
    if any(path.suffix.lower() in VIDEOS for _, path in todo):
        require_av()  # before the first file is read, which may take long
    for item, path in tqdm(todo, desc="key frames", unit="file", disable=None if progress else True):
        stop.check()
        name = visible(path.relative_to(folder).as_posix())
        try:
            sha, at, chosen = _kept_or_made(path, root, settings, cache)
        except DataError as problem:
            skipped[name] = visible(problem)
            log.warning("skipped %s", skipped[name])
            continue
        rows += [(at_s, len(sources), position) for position, at_s in enumerate(chosen.time_s)]
        counts[item] += len(chosen.time_s)
        sources.append(name)
        kept.append(at)
        sums[name] = sha
    if not sources:
        raise DataError(f"{folder}: none of {len(todo)} files can be used; the first: {next(iter(skipped.values()))}")
    time_s, source, position = zip(*rows)
    repairs = tuple(f"skipped {name}" for name in skipped)
    return FrameTable(
        item_names=np.array(list(items)),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        time_s=np.array(time_s, np.float64),
        source=np.array(source, np.int32),
        place=np.array(position, np.int32),
        sources=tuple(sources),
        kept=tuple(kept),
        skipped=skipped,
        settings=settings,
        provenance=Provenance("real", f"key frames of the files in {folder.name}", files=sums, repairs=repairs),
    )


def _items(folder: Path) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """({item name: its files}, {subfolder or file: why it is left out}), in order of the names. Raises DataError."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; wanted one with videos, or with a subfolder of images per item")
    items: dict[str, list[Path]] = {}
    left_out: dict[str, str] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if (why := _unusable(entry)) is not None:
            left_out[visible(entry.name)] = why
            continue
        if entry.is_dir():
            name, files = entry.name, sorted(f for f in entry.iterdir() if f.suffix.lower() in IMAGES | VIDEOS)
        elif entry.suffix.lower() in VIDEOS:
            name, files = entry.stem, [entry]
        else:
            continue
        if name in items:
            raise DataError(
                f"{folder}: two items are named {name!r}; rename {entry.name}, or move both into one subfolder"
            )
        items[name] = files
    if not any(items.values()):
        why = "".join(f"; {name}: {why}" for name, why in list(left_out.items())[:3])
        raise DataError(
            f"{folder}: wanted videos, or subfolders of images, got none; known endings: {', '.join(video.READ)}{why}"
        )
    return items, left_out


def _unusable(entry: Path) -> str | None:
    """Why a file or subfolder can be no item; None when it can."""
    is_folder = entry.is_dir()
    if not (is_folder or entry.suffix.lower() in VIDEOS):
        return None
    if entry.name != visible(entry.name):
        return "its name has characters that cannot be shown; rename it"
    if is_folder and entry.is_symlink():
        return "it is a link; move the folder itself here"
    if is_folder and not os.access(entry, os.R_OK | os.X_OK):
        return "it may not be read; check its permissions"
    return None


def _kept_or_made(path: Path, root: Path, settings: FrameSettings, cache: Path) -> tuple[str, Path, KeyFrames]:
    """(sha256 of the file, where its key frames are kept, the key frames). root: the folder, no link.

    Raises DataError for whatever is wrong with this one file; what is wrong elsewhere, as a full disk or a signal, is
    raised as it is.
    """
    try:
        if not path.is_file() or root not in path.resolve().parents:
            raise DataError(f"{path}: wanted a plain file inside the folder, got none; leave it out, or copy it here")
        sha = file_checksums([path])[path.name]
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror}); check its permissions") from None
    is_image = path.suffix.lower() in IMAGES
    described = {"frames": FORMAT, "file": sha, "is_image": is_image, "settings": dataclasses.asdict(settings)}
    at = cache / f"{key_of('frames', **described)}.npz"
    if at.is_file():
        try:
            return sha, at, _load(at)
        except (npz_files.NpzError, KeyError) as problem:
            log.warning("%s is damaged and is made anew (%s)", at, type(problem).__name__)
    try:
        chosen = key_frames_of(path, settings)
    except DataError:
        raise
    except ODD as problem:  # decoders raise anything on damaged files
        raise DataError(
            f"{path}: wanted a video or image, got one that cannot be used ({type(problem).__name__}: {problem}); "
            "convert it, or leave it out of the folder"
        ) from None
    _keep(chosen, at, described)
    return sha, at, chosen


def _keep(chosen: KeyFrames, path: Path, described: dict) -> None:
    with atomic_write(path) as temporary:
        np.savez(temporary, **dataclasses.asdict(chosen), provenance=json.dumps(described, sort_keys=True))


def _load(path: Path) -> KeyFrames:
    kept = npz_files.read(path, largest=2 * MOST_BYTES)
    return KeyFrames(kept["pictures"], kept["time_s"], kept["position"], bool(kept["only_intra"]))
