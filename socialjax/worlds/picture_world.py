"""A synthetic world whose frames are pictures in video files: users like a style of picture, and shots show styles.

Interactions, users' tastes and the styles of frames come from `worlds.frames`; here every frame becomes a drawn picture
and every item a video in which each of its frames is a shot. Only the files are passed on: cuts, key frames and
features have to be extracted from them, and are matched with the truth by their time.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from socialjax import json_files, stop
from socialjax.atomic_write import atomic_write
from socialjax.data.schema import Dataset, FrameLikes, Frames, Provenance
from socialjax.formats.file_bytes import DataError
from socialjax.vision.key_frames import video
from socialjax.vision.key_frames.collect import FrameTable
from socialjax.worlds.drawn_pictures import draw
from socialjax.worlds.frames import FramesWorld

HEIGHT, WIDTH, FPS = 120, 160, 12
_SHOT = (10, 14)  # frames, both ends in
_DRIFT = 12  # points that the camera may move in a shot, along each side
_GRAIN = 1.5  # grey levels
_VERSION = 1  # raise when the same seed would give other files


def shot_edges(seed: int, item: int, num_shots: int) -> np.ndarray:
    """i64[num_shots + 1]: shot k of an item's video is its frames edges[k] to edges[k + 1] - 1."""
    lengths = np.random.default_rng([seed, 41, item]).integers(_SHOT[0], _SHOT[1] + 1, num_shots)
    return np.concatenate([[0], np.cumsum(lengths)])


def film(styles: np.ndarray, seed: int, item: int) -> np.ndarray:
    """The frames of an item's video: a shot for each style, its picture filmed by a slowly drifting camera.

    Args:
        styles: i32[k], indices into `drawn_pictures.STYLES`.
        seed: of the world.
        item: number of the item.

    Returns:
        u8[n, HEIGHT, WIDTH, 3].
    """
    edges, shots = shot_edges(seed, item, len(styles)), []
    for number, style in enumerate(styles):
        rng, length = np.random.default_rng([seed, 43, item, number]), int(edges[number + 1] - edges[number])
        picture = draw(int(style), rng, HEIGHT + _DRIFT, WIDTH + _DRIFT).astype(np.float32)
        path = np.rint(np.linspace(*rng.uniform(0, _DRIFT, (2, 2)), length)).astype(int)
        shot = np.stack([picture[y : y + HEIGHT, x : x + WIDTH] for y, x in path])
        grain = rng.normal(0, _GRAIN, (2 * HEIGHT, 2 * WIDTH, 1)).astype(np.float32)  # a different crop in each frame
        corners = rng.integers(0, (HEIGHT, WIDTH), (length, 2))
        shots.append(shot + np.stack([grain[y : y + HEIGHT, x : x + WIDTH] for y, x in corners]))
    return np.clip(np.rint(np.concatenate(shots)), 0, 255).astype(np.uint8)


def item_name(item: int) -> str:
    """The name of an item's file without its extension; names sort in the order of the numbers."""
    return f"item_{item:05d}"


def write_films(folder: Path, world: FramesWorld, seed: int = 0, progress: bool = True) -> Path:
    """Writes a video for each item to `folder`/videos, and the interactions to `folder`/interactions.tsv.

    Existing files are kept, so that a stopped call resumes: a file with an item's name is complete.

    Args:
        folder: new, or of the same world.
        world: whose items have frames.
        seed: of the pictures.
        progress: whether to show a progress bar.

    Returns:
        The folder of the videos.

    Raises:
        DataError: the folder holds another world or anything else.
    """
    folder = Path(folder)
    videos, offsets = folder / "videos", world.data.frames.offsets
    _claim(folder, world, seed)
    for item in tqdm(range(world.data.num_items), desc="films", unit="film", disable=None if progress else True):
        stop.check()
        path = videos / f"{item_name(item)}.mp4"
        styles = world.style[offsets[item] : offsets[item + 1]]
        if len(styles) and not path.exists():
            video.write(path, film(styles, seed, item), fps=FPS, options={"preset": "veryfast"})
    return videos


def _claim(folder: Path, world: FramesWorld, seed: int) -> None:
    """Makes the folder, or finds it made for the same world."""
    columns = [world.style, world.data.frames.offsets]
    columns += [column for part in world.data.parts().values() for column in (part.user, part.item)]
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(column, np.int64).tobytes() for column in columns))
    wanted = {"made": "picture world", "version": _VERSION, "seed": seed, "sha256": digest.hexdigest()}
    note = folder / "world.json"
    try:
        there = json_files.read(note) if note.exists() else None
    except ValueError:
        there = "damaged"
    if there != wanted:
        if there is not None or (folder.is_dir() and any(folder.iterdir())):
            raise DataError(f"{folder}: wanted a new folder or this world's (seed {seed}), got others; name another")
        folder.mkdir(parents=True, exist_ok=True)
        _write(note, json.dumps(wanted, indent=1) + "\n")
    (folder / "videos").mkdir(exist_ok=True)
    pairs = folder / "interactions.tsv"
    if not pairs.exists():
        lines = [
            f"user_{user:05d}\t{item_name(item)}\n"
            for part in world.data.parts().values()
            for user, item in zip(part.user.tolist(), part.item.tolist())
        ]
        _write(pairs, "".join(lines))


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text)


@dataclasses.dataclass(frozen=True)
class FrameMatch:
    """Extracted frames matched with the planted ones.

    Attributes:
        planted: i64[L'], the planted frame that each extracted one shows.
        missed: planted frames that none shows: their shot was merged into a neighbour or their file skipped.
        repeated: extracted frames whose planted frame an earlier one already shows: their shot was split.
        total: planted frames.
    """

    planted: np.ndarray
    missed: int
    repeated: int
    total: int

    def __str__(self) -> str:
        return (
            f"{len(self.planted)} frames found for {self.total} planted shots; {self.missed} shots without one "
            f"({self.missed / self.total:.1%}), {self.repeated} frames from a shot that had one"
        )


def match(table: FrameTable, world: FramesWorld, seed: int = 0) -> FrameMatch:
    """Matches extracted frames with the planted ones by their time in the video.

    Args:
        table: of the frames extracted from the world's videos.
        world: whose videos they are.
        seed: with which the videos were written.

    Returns:
        The match.

    Raises:
        DataError: the table's items are not the world's.
    """
    offsets = world.data.frames.offsets
    names = [item_name(item) for item in range(world.data.num_items) if offsets[item + 1] > offsets[item]]
    if table.item_names.tolist() != names:
        raise DataError(
            f"wanted the {len(names)} videos of this world, got {len(table.item_names)} items; make it anew"
        )
    planted = np.zeros(len(table), np.int64)
    for place, name in enumerate(names):
        item = int(name.removeprefix("item_"))
        edges = shot_edges(seed, item, int(offsets[item + 1] - offsets[item]))
        rows = slice(table.offsets[place], table.offsets[place + 1])
        at = np.rint(table.time_s[rows] * FPS)
        planted[rows] = offsets[item] + np.searchsorted(edges[1:-1], at, side="right")
    shown = len(np.unique(planted))
    return FrameMatch(planted, len(world.style) - shown, len(planted) - shown, len(world.style))


def seen(world: FramesWorld, table: FrameTable, frames: Frames, matched: FrameMatch, provenance: Provenance) -> Dataset:
    """The world's interactions with the frames extracted from its videos, and which of them users like.

    A test user likes those of an item's frames whose style they prefer most, unless all are preferred equally.

    Args:
        world: with the true styles and tastes.
        table: of the extracted frames.
        frames: their features, one row for each row of the table.
        matched: as `match` gives it.
        provenance: of the result.

    Returns:
        The data set that a model is trained and tested on.
    """
    data = world.data
    offsets = np.zeros(data.num_items + 1, np.int64)
    items = [int(name.removeprefix("item_")) for name in table.item_names]
    offsets[np.add(items, 1)] = np.diff(frames.offsets)
    offsets = np.cumsum(offsets)
    style = world.style[matched.planted]
    records = []
    for user, item in zip(data.test.user.tolist(), data.test.item.tolist()):
        rows = np.arange(offsets[item], offsets[item + 1])
        taste = world.taste[user, style[rows]]
        if len(rows) and taste.min() < taste.max():
            records += [(user, item, row) for row in rows[taste == taste.max()]]
    likes = FrameLikes(*np.array(records, np.int32).reshape(-1, 3).T)
    return dataclasses.replace(
        data,
        name="picture-world",
        provenance=provenance,
        frames=Frames(offsets, frames.features, frames.names),
        frame_likes=likes,
        item_features=None,
        item_names=np.array([item_name(item) for item in range(data.num_items)]),
        user_names=np.array([f"user_{user:05d}" for user in range(data.num_users)]),
    )
