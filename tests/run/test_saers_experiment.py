"""SAERS's experiment: from DVBPR's file and a table of labelled pictures, or from nothing, to a table and a page."""

import dataclasses
import io
import json
import pickle
import re

import numpy as np
import pytest
from PIL import Image

from experiments import saers_amazon_fashion
from socialjax.data.sets.amazon_fashion import FILE
from socialjax.formats.file_bytes import DataError
from socialjax.report.gather import finished
from socialjax.report.saers import how_sure, saers_report
from socialjax.vision import catalogue_attributes
from socialjax.vision.catalogue_attributes import own, valid_on
from socialjax.vision.sen import SmallCNN
from socialjax.worlds.garments import NAMES, garment_world, garments, made

pytestmark = [
    pytest.mark.usefixtures("logging_as_before"),
]
QUICK = ["--sen.epochs", "1", "--sen.region-epochs", "1", "--sen.quiet", "--train.epochs", "1", "--train.quiet"]
LEARNED = ("neckline", "toe")  # of real pictures; one of either group, so that each picture lacks a label


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """DVBPR's file of a drawn shop and labelled pictures of its kind; the arguments."""
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(catalogue_attributes, "SMALL_BACKBONE", SmallCNN((8, 8), (4, 2)))  # compiled in half the time
    world = garment_world(seed=4, users=12, items=24, purchases=8, size=64)

    def jpeg(pixels):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG")
        return stream.getvalue()

    parts = [
        {user: [{"productid": int(item)} for item in pairs.item[pairs.user == user]] for user in range(12)}
        for pairs in world.data.parts().values()
    ]
    items = {
        item: {
            b"asin": f"A{item}".encode(),
            b"imgs": jpeg(world.pictures.pixels[item])[: {0: 0, 1: 500}.get(item)],  # none, and one that was cut off
            b"c": np.eye(6)[0],
        }
        for item in range(24)
    }
    array = np.empty(6, object)
    array[:] = [*parts, items, 12, 24]
    (tmp_path / "shop").mkdir()
    with open(tmp_path / "shop" / FILE, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"fortran_order": False, "descr": "|O", "shape": array.shape})
        pickle.dump(array, file, 3)
    labelled = garments(seed=5, count=20)
    lines = ["image,split," + ",".join(LEARNED)]
    (tmp_path / "labels").mkdir()
    for row, pixels in enumerate(labelled.pixels):
        Image.fromarray(pixels).save(tmp_path / "labels" / f"{row}.png")
        labels = [(labelled.classes[NAMES.index(name)], labelled.labels[row, NAMES.index(name)]) for name in LEARNED]
        classes = ["" if label < 0 else classes[label] for classes, label in labels]
        lines.append(f"{row}.png,{('train', 'train', 'val', 'test')[row % 4]}," + ",".join(classes))
    (tmp_path / "labels" / "pictures.csv").write_text("\n".join(lines) + "\n")
    where = ["--data.dir", tmp_path / "shop", "--labels", "mine", "--labels-dir", tmp_path / "labels"]
    words = [*map(str, where), "--workdir", str(tmp_path / "run"), "--backbone", "small", "--seeds", "0"]
    return [*words, *QUICK, "--sen.region-epochs", "0"]


@pytest.mark.slow
def test_real_pictures_and_labels_come_to_a_table_beside_what_was_reported(shop, tmp_path, capsys):
    assert saers_amazon_fashion.main([*shop, "--only", "saers"]) == 0
    page = (tmp_path / "run" / "report.md").read_text()
    assert "# SAERS on amazon_fashion (real)" in page and "PLANTED" not in page
    said = capsys.readouterr()
    assert "PLANTED" not in said.out and "1.jpg: wanted a whole picture" in said.err and "2 items have no p" in said.err
    (row,) = [line for line in page.splitlines() if line.startswith("| saers ")]
    cells = [cell.strip() for cell in row.split("|")[2:-1]]
    assert cells[4:] == ["0.816", "0.171", "not available", "not available"]
    kept = json.loads((tmp_path / "run" / "report.json").read_text())
    assert 0 <= kept["rows"]["saers"]["AUC"]["mean"] <= 1 and set(kept["attributes"]["accuracy"]) == set(LEARNED)
    assert finished([tmp_path / "run"]).runs == [tmp_path / "run" / "saers"]
    assert (tmp_path / "run" / "gallery.png").read_bytes().startswith(b"\x89PNG")
    gallery = (tmp_path / "run" / "gallery.html").read_text()
    assert "Real data: amazon_fashion" in gallery and re.search(r"<h4>A\d+</h4>", gallery)
    with np.load(tmp_path / "run" / "data" / "columns.npz") as columns:
        assert columns["attribute_valid"].any(axis=1).tolist() == [False, False, *[True] * 22]
    # What is there is read: nothing is trained again.
    capsys.readouterr()
    assert saers_amazon_fashion.main([*shop, "--only", "saers"]) == 0
    assert "finished before" in capsys.readouterr().err
    assert (tmp_path / "run" / "report.md").read_text() == page


@pytest.mark.slow
def test_without_a_folder_garments_are_drawn_and_every_row_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    words = ["--users", "12", "--items", "40", "--purchases", "8", "--pictures", "40", "--seeds", "0"]
    assert saers_amazon_fashion.main([*words, "--workdir", str(tmp_path / "run"), *QUICK]) == 0
    page = (tmp_path / "run" / "report.md").read_text()
    assert page.count("PLANTED") == 2
    rows = [*saers_amazon_fashion.settings(4, saers_amazon_fashion.Arguments().train), saers_amazon_fashion.COLOUR]
    assert all(f"| {row} |" in page for row in rows)
    assert "PLANTED" in capsys.readouterr().out


def test_attributes_are_learned_from_train_and_stopped_by_validation(tmp_path, monkeypatch):
    class Seen(Exception):
        """Ends the call where the network would be trained."""

    given = []

    def noted(network, variables, batches, validation, *rest):
        given.append((batches.inputs, batches.labels, *validation))
        raise Seen

    monkeypatch.setattr(catalogue_attributes, "train_attributes", noted)
    monkeypatch.setattr(catalogue_attributes, "SMALL_BACKBONE", SmallCNN((8, 8), (4, 2)))
    of = made(tmp_path / "made", users=8, items=16, purchases=4, pictures=40)
    with pytest.raises(Seen):
        catalogue_attributes.trained(of, catalogue_attributes.SMALL_TRAINING, "small", tmp_path, 0)
    for number, part in enumerate((0, 1)):
        rows = np.flatnonzero(of.labelled.part == part)
        np.testing.assert_array_equal(given[0][2 * number], of.labelled.pixels[rows])
        np.testing.assert_array_equal(given[0][2 * number + 1], of.labelled.labels[rows])
    assert set(of.labelled.part) == {0, 1, 2}


def test_the_made_material_says_which_classes_are_the_absence_of_a_feature(tmp_path):
    material = made(tmp_path, users=6, items=12, purchases=4, pictures=10)
    assert material.absent["sleeve"] == ("none",) and material.absent["neckline"] == ()
    assert len(list((tmp_path / "pictures").iterdir())) == 12 and material.items(np.array([3, 1])).shape == (
        2,
        64,
        64,
        3,
    )


def test_the_report_leaves_what_is_not_known_open():
    figure = {"mean": 0.75, "ci95": 0.0125, "values": [0.7, 0.8]}
    accuracy = {
        "toe": {"labelled": 4, "accuracy": 0.5, "balanced_accuracy": 0.4, "majority": 0.3},
        "hem": {"labelled": 0},
    }
    world = garment_world(seed=4, users=12, items=24, purchases=8, size=16)
    page = saers_report({"bpr": {"AUC": figure}}, {"accuracy": accuracy}, world.data, "LOUD", False)
    assert (
        "| bpr | 0.7500 ± 0.0125 | - | - | - | not available | not available | not available | not available |" in page
    )
    assert "| toe | 0.500 | 0.400 | 0.300 | - | - |" in page and "| hem" not in page
    assert page.count("LOUD") == 2 and "gallery" not in page


def test_a_row_that_there_is_not_is_refused_before_anything_is_made(tmp_path, capsys):
    assert saers_amazon_fashion.main(["--only", "nothing", "--workdir", str(tmp_path / "run")]) != 0
    assert "--only must name some of bpr, vbpr" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_readers_of_boxes_are_told_how_often_the_attribute_network_is_right():
    accuracy = {"toe": {"accuracy": 0.9, "majority": 0.4}, "hem": {"labelled": 0}}
    assert how_sure({"accuracy": accuracy})[0].endswith("learn from: toe class 90% (most frequent class 40%).")
    regions = {"toe": {"pooled": {"pointing": 0.5, "chance": 0.06}}}
    assert how_sure({"accuracy": accuracy, "regions": regions})[0].endswith("toe class 90%, place 50% (chance 6%).")


def own_table(folder, users=8, count=24):
    """A table of drawn pictures with their groups, and who took which; one more item has no picture."""
    labelled, rng = garments(seed=6, count=count), np.random.default_rng(0)
    folder.mkdir()
    lines = ["image,id,group," + ",".join(NAMES)]
    for row, pixels in enumerate(labelled.pixels):
        Image.fromarray(pixels).save(folder / f"{row}.png")
        classes = ["" if label < 0 else labelled.classes[k][label] for k, label in enumerate(labelled.labels[row])]
        lines.append(f"{row}.png,sku{row},{labelled.groups[row]}," + ",".join(classes))
    (folder / "pictures.csv").write_text("\n".join(lines) + "\n")
    took = [f"u{user},sku{item}" for user in range(users) for item in rng.choice(count, 10, replace=False)]
    (folder / "interactions.csv").write_text("\n".join(["user,item", *took, "u0,sku-unseen"]) + "\n")
    return labelled


def test_a_table_of_ones_own_is_material_with_its_own_labels(tmp_path):
    labelled = own_table(tmp_path / "mine")
    material = own(tmp_path / "mine", size=64)
    np.testing.assert_array_equal(material.items(np.array([3, 7])), labelled.pixels[[3, 7]])
    np.testing.assert_array_equal(material.learned(np.array([5])), labelled.pixels[[5]])
    assert material.data.num_items == 25 and (material.items(np.array([24])) == 255).all()  # it has no picture
    assert material.data.provenance.kind == "real" and material.picture_source == tmp_path / "mine"
    assert material.data.item_groups[:24].tolist() == labelled.groups.tolist()
    assert set(material.cold_test.item) == set(material.data.test.item[material.cold[material.data.test.item]])


def test_a_broken_picture_of_an_item_is_an_error_that_names_it(tmp_path):
    own_table(tmp_path / "mine")
    file = tmp_path / "mine" / "3.png"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match=r"3\.png: wanted a whole picture .* leave its row out"):
        own(tmp_path / "mine", size=64).items(np.array([2, 3]))


def test_attributes_are_valid_where_their_group_has_them_and_groups_without_any_are_stated(caplog):
    world = garment_world(seed=4, users=6, items=10, purchases=2, size=16)
    groups = np.array(["top", "shoe", "bag", "unheard", "top", "top", "", "bag", "shoe", "shoe"])
    pictures = np.array([*"abcde", "", *"ghij"])
    data = dataclasses.replace(world.data, item_groups=groups, item_pictures=pictures)
    labels = np.array([[0, 1, -1], [-1, 0, -1], [-1, -1, 1], *[[-1, -1, -1]] * 7], np.int16)
    classes = (("Invisible", "V"), ("Invisible", "long"), ("flat", "high"))
    labelled = dataclasses.replace(
        garments(seed=5, count=10),
        names=("neckline", "sleeve", "heel"),
        classes=classes,
        labels=labels,
        groups=np.array(["top", "top", "shoe", *["bag"] * 7]),
        boxes=None,
    )
    label = np.array(
        [[0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 1], [0, 0, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1], [0, 0, 0], [1, 1, 1]]
    )
    found = valid_on(data, labelled, label)
    assert found.astype(int).tolist() == [
        [0, 1, 0],  # its neckline is invisible
        [0, 0, 1],
        [0, 0, 0],  # bags have no attribute
        [1, 0, 1],  # of a group that nobody labelled anything may be there
        [1, 1, 0],  # all of a top's attributes are invisible, so that all count
        [0, 0, 0],  # no picture
        [1, 1, 1],
        [0, 0, 0],
        [0, 0, 1],
        [0, 0, 1],
    ]
    assert "group 'bag' has no attribute: 2 items are scored by their look as a whole" in caplog.text
    assert valid_on(dataclasses.replace(data, item_groups=None), labelled, label)[2].all()
