"""DVBPR's file is read as it was written, in the pickle protocols of Python 2 and 3, and nothing in it is ever run."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from socialjax.data import validate
from socialjax.data.sets.amazon_fashion import FILE, read, write_pictures
from socialjax.formats.file_bytes import DataError
from socialjax.formats.picture_files import PictureFiles


def jpeg(shade):
    stream = io.BytesIO()
    Image.new("RGB", (5, 7), (shade, shade, shade)).save(stream, "JPEG")
    return stream.getvalue()


def content(pictures=True):
    """Three users, four items; item 3 without a picture. Validation of user 0 is a pair of train too."""
    record = lambda item: {"productid": item, "reviewerID": "R", "asin": f"A{item}", "overall": 4.0}  # noqa: E731
    train = {0: [record(0), record(1)], 1: [record(2)], 2: [record(3), record(0)]}
    validation = {0: [record(1)], 1: [record(0)], 2: [record(1)]}
    test = {0: [record(2)], 1: [record(3)], 2: [record(2)]}
    items = {
        item: {b"asin": f"A{item}".encode(), b"imgs": jpeg(40 * item) if item < 3 else b"", b"c": np.eye(6)[item]}
        for item in range(4)
    }
    return [train, validation, test, items, 3, 4]


def save(folder, objects, protocol=3):
    array = np.empty(len(objects), object)
    array[:] = objects
    with open(folder / FILE, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"fortran_order": False, "descr": "|O", "shape": array.shape})
        pickle.dump(array, file, protocol)
    return folder


def test_pictures_that_cannot_be_decoded_are_left_out_and_named(tmp_path):
    objects = content()
    objects[3][1][b"imgs"] = jpeg(40)[:300]
    (damaged,) = write_pictures(read(save(tmp_path, objects)), tmp_path / "images.tar")
    assert "1.jpg: wanted a whole picture" in damaged
    assert PictureFiles(tmp_path / "images.tar").names() == ["0.jpg", "2.jpg"]


@pytest.mark.parametrize("protocol", [3, 4])
def test_pairs_groups_and_pictures_are_those_of_the_file(protocol, tmp_path):
    release = read(save(tmp_path, content(), protocol))
    data = release.data
    found = {part: sorted(zip(pairs.user.tolist(), pairs.item.tolist())) for part, pairs in data.parts().items()}
    assert found == {
        "train": [(0, 0), (0, 1), (1, 2), (2, 0), (2, 3)],
        "validation": [(1, 0), (2, 1)],
        "test": [(0, 2), (1, 3), (2, 2)],
    }
    assert data.item_groups.tolist() == [f"category {item}" for item in range(4)]
    assert data.item_names.tolist() == ["A0", "A1", "A2", "A3"]
    assert data.item_pictures.tolist() == ["0.jpg", "1.jpg", "2.jpg", ""]
    assert "1 items have no picture" in data.provenance.repairs and len(data.provenance.repairs) == 2
    validate.check(data)
    assert write_pictures(release, tmp_path / "images.tar") == []
    files = PictureFiles(tmp_path / "images.tar")
    assert files.names() == ["0.jpg", "1.jpg", "2.jpg"]
    for item in range(3):
        assert files.bytes(f"{item}.jpg") == jpeg(40 * item)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([FILE, "images.tar"])  # nothing is left over


def test_texts_as_python_2_wrote_them_are_read(tmp_path):
    """Byte strings of Python 2 (opcodes T and U), which Python 3 cannot write: bytes are put in their place."""
    picture = jpeg(90)
    assert len(picture) > 255
    save(tmp_path, content(), 3)
    data = (tmp_path / FILE).read_bytes()
    # C: short bytes -> U: short string; B: bytes -> T: string. Both carry the same lengths (below 2^31).
    for old, new in ((b"C\x04imgs", b"U\x04imgs"), (b"C\x04asin", b"U\x04asin"), (b"C\x02A", b"U\x02A")):
        data = data.replace(old, new)
    for shade in (0, 40, 80):
        body = len(jpeg(shade)).to_bytes(4, "little") + jpeg(shade)
        assert b"B" + body in data
        data = data.replace(b"B" + body, b"T" + body)
    (tmp_path / FILE).write_bytes(data)
    release = read(tmp_path)
    assert release.data.item_names.tolist() == ["A0", "A1", "A2", "A3"]
    offset, length = release.spans[1]
    assert data[offset : offset + length] == jpeg(40)


class Runs:
    def __reduce__(self):
        return print, ("it ran",)


def test_a_file_that_asks_for_a_call_is_refused_and_nothing_runs(tmp_path, capsys):
    objects = content()
    objects[3][0][b"imgs"] = Runs()
    with pytest.raises(DataError, match=r"got builtins\.print; nothing of it was run"):
        read(save(tmp_path, objects))
    assert capsys.readouterr().out == ""


def changed(place, value):
    objects = content()
    objects[place] = value
    return objects


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (changed(5, 5), "a record for each of 5 items, got 4"),
        (changed(4, 2), "a user from 0 to 1 in each record, got 2"),
        (changed(4, "three"), "the numbers of users and items"),
        (changed(0, {0: [{"productid": 9}]}), "a productid from 0 to 3 in each record, got 9"),
        (changed(0, {0: [{}]}), "a productid from 0 to 3 in each record, got None"),
        (changed(0, {0: 3}), "a list of records for each user"),
        (content()[:5], r"wanted an array of 6 objects, got object \(5,\)"),
    ],
)
def test_what_is_no_such_release_is_refused(objects, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(save(tmp_path, objects, 3))


def test_missing_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"wanted DVBPR's file, got .*No such file"):
        read(tmp_path)
    data = (save(tmp_path, content(), 3) / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(b"")
    with pytest.raises(DataError, match="wanted DVBPR's file"):
        read(tmp_path)
    for length in (40, 300, len(data) - 5):
        (tmp_path / FILE).write_bytes(data[:length])
        with pytest.raises(DataError, match=r"damaged|wanted"):
            read(tmp_path)
