"""A person's own interactions meet the frames of their videos by name."""

import numpy as np
import pytest

from socialjax.data.schema import Frames, Provenance
from socialjax.formats.file_bytes import DataError
from socialjax.vision.taken import of_videos

MADE = Provenance("real", "key frames", files={"b.mp4": "00"}, repairs=("skipped x.mp4",))
NAMES = np.array(["b", "a", "x", "new"])  # not sorted; x has no frames, nobody took `new`
FRAMES = Frames(np.array([0, 2, 3, 3, 4]), np.array([[20], [21], [10], [30]], np.float32), np.array(list("bBan")))


def write(path, rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def test_frames_go_to_their_items_by_name(tmp_path):
    rows = [(f"ann{u}", item) for u in range(3) for item in ["a", "b", "x", "gone", "a", *range(10, 16)]]
    data = of_videos(write(tmp_path / "mine.tsv", rows), NAMES, FRAMES, MADE)
    assert data.item_names.tolist() == [*map(str, range(10, 16)), "a", "b", "gone", "new", "x"]
    assert data.user_names.tolist() == ["ann0", "ann1", "ann2"]
    frames = {
        str(name): data.frames.features[slice(*data.frames.offsets[n : n + 2]), 0].tolist()
        for n, name in enumerate(data.item_names)
        if data.frames.offsets[n] < data.frames.offsets[n + 1]
    }
    assert frames == {"a": [10.0], "b": [20.0, 21.0], "new": [30.0]}
    assert data.frames.names.tolist() == ["a", "b", "B", "n"]
    assert [len(part) for part in data.parts().values()] == [21, 3, 6]  # of 10 each, duplicates gone
    together = np.concatenate([part.user * 100 + part.item for part in data.parts().values()])
    wanted = {100 * u + n for u in range(3) for n, name in enumerate(data.item_names.tolist()) if name != "new"}
    assert set(together.tolist()) == wanted
    said = " ".join(data.provenance.repairs)
    assert "skipped x.mp4" in said and "3 duplicate pairs" in said and "7 items of mine.tsv have no file" in said
    assert {"b.mp4", "mine.tsv"} == set(data.provenance.files)


def test_a_file_of_other_items_is_refused(tmp_path):
    path = write(tmp_path / "mine.tsv", [("u", "a.mp4"), ("v", "b.mp4")])
    with pytest.raises(DataError, match=r"named like the videos, such as 'b', got 'a\.mp4' .* without their endings"):
        of_videos(path, NAMES, FRAMES, MADE)
