"""A data set with attributes comes back from its folder as it was, and a damaged folder is refused."""

import dataclasses

import numpy as np
import pytest

from socialjax.data import sources
from socialjax.data.own import attribute_files
from socialjax.data.sources import DataSettings
from socialjax.formats.file_bytes import DataError
from socialjax.worlds.garments import garment_world

WORLD = garment_world(seed=0, users=8, items=30, purchases=8, size=32)
DATA = dataclasses.replace(
    WORLD.data,
    attributes=WORLD.label_attributes(),
    item_features=np.arange(60, dtype=np.float32).reshape(30, 2),
    item_names=np.array([f"item {number}" for number in range(30)], object),
)


def test_it_comes_back_as_it_was_with_its_kind_through_the_data_settings(tmp_path):
    attribute_files.write(tmp_path, DATA)
    found = sources.load(DataSettings(name=DATA.name, dir=tmp_path))
    assert found.provenance.kind == "planted" and {"columns.npz", "data.json"} <= set(found.provenance.files)
    for part, pairs in DATA.parts().items():
        np.testing.assert_array_equal(getattr(found, part).user, pairs.user)
        np.testing.assert_array_equal(getattr(found, part).item, pairs.item)
    for field in dataclasses.fields(DATA.attributes):
        before, after = getattr(DATA.attributes, field.name), getattr(found.attributes, field.name)
        assert type(before) is type(after)
        np.testing.assert_array_equal(before, after) if isinstance(before, np.ndarray) else None
    assert found.attributes.classes == DATA.attributes.classes and found.attributes.names == DATA.attributes.names
    for table in ("item_features", "item_titles", "item_groups", "item_pictures"):
        np.testing.assert_array_equal(getattr(found, table), getattr(DATA, table))
    assert found.user_names is None and found.item_names.tolist() == DATA.item_names.tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["columns.npz", "data.json"]


def test_other_pairs_have_other_checksums(tmp_path):
    attribute_files.write(tmp_path / "a", DATA)
    attribute_files.write(tmp_path / "b", dataclasses.replace(DATA, train=DATA.train.take(np.arange(5))))
    a, b = (attribute_files.read(tmp_path / name, DATA.name).provenance.files["columns.npz"] for name in "ab")
    assert a != b


@pytest.mark.parametrize("damage", ["cut", "json", "pickle", "missing"])
def test_a_damaged_folder_is_refused(tmp_path, damage):
    attribute_files.write(tmp_path, DATA)
    columns = tmp_path / "columns.npz"
    if damage == "cut":
        columns.write_bytes(columns.read_bytes()[:1000])
    elif damage == "json":
        (tmp_path / "data.json").write_text("{")
    elif damage == "pickle":
        np.savez(columns, train_user=np.array([{}], object))
    else:
        np.savez(columns, train_user=np.zeros(3))
    with pytest.raises(DataError, match=r"delete the folder and run the experiment again"):
        attribute_files.read(tmp_path, DATA.name)


def test_another_name_and_data_without_attributes_are_refused(tmp_path):
    attribute_files.write(tmp_path, DATA)
    with pytest.raises(DataError, match=rf"holds data set '{DATA.name}', not 'shoes'; give --data.name"):
        attribute_files.read(tmp_path, "shoes")
    with pytest.raises(ValueError, match="has no attributes"):
        attribute_files.write(tmp_path, dataclasses.replace(DATA, attributes=None))


def test_the_checksum_is_that_of_what_was_read(tmp_path, monkeypatch):
    """Also when the file is written to meanwhile."""
    attribute_files.write(tmp_path, DATA)
    before = attribute_files.read(tmp_path, DATA.name).provenance.files
    monkeypatch.setattr(attribute_files, "check", lambda _: (tmp_path / "data.json").write_text("{}"))
    assert attribute_files.read(tmp_path, DATA.name).provenance.files == before
