"""SEN on photos of one's own: from files and a table to accuracies, the share of maps on the product, and a sheet."""

import json

import flax.linen as nn
import numpy as np
import pytest
from PIL import Image

from experiments import sen_fashion
from socialjax.report.saers import BARS, missed
from socialjax.vision.backbones.weights import Preparation
from socialjax.vision.feature_maps import Pretrained
from socialjax.vision.labelled import labelled_pictures, photos
from socialjax.vision.labelled.photos import Photos, product

pytestmark = pytest.mark.usefixtures("logging_as_before")
SIDE = 16


class Quarters(nn.Module):
    """How far from white each colour is, in cells of 4 x 4 pixels."""

    preparation = Preparation(size=SIDE, part=1.0, mean=(1.0,) * 3, deviation=(-1.0,) * 3, filter="linear")

    @nn.compact
    def __call__(self, images):
        return None, {"features": images.reshape(len(images), 4, 4, 4, 4, 3).mean((2, 4))}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Photos of red or green squares, left or right on white, in a table; the arguments."""
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sen_fashion, "pretrained", lambda *given, **more: Pretrained(Quarters(), {}, "0" * 64))
    (tmp_path / "photos").mkdir()
    lines = ["image,split,colour,brand,kind"]
    for row in range(60):
        photo = np.full((SIDE, SIDE, 3), 255, np.uint8)
        is_red, left = row % 2, 4 * (row % 3)
        photo[4:12, left : left + 8] = (200, 20, 20) if is_red else (20, 200, 20)
        Image.fromarray(photo).save(tmp_path / "photos" / f"{row}.png")
        part = ("train", "train", "train", "val", "test")[row % 5]
        kind = "" if row % 7 == 0 else "upper"
        lines.append(f"{row}.png,{part},{'red' if is_red else 'green'},{'own' if row % 4 else ''},{kind}")
    (tmp_path / "photos" / "pictures.csv").write_text("\n".join(lines) + "\n")
    words = ["--labels", "mine", "--labels-dir", tmp_path / "photos", "--workdir", tmp_path / "run", "--size", SIDE]
    training = ["--train.epochs", 12, "--train.region-epochs", 2, "--train.learning-rate", 0.02, "--train.quiet"]
    return [*map(str, [*words, *training, "--hidden", 8, "--dropout", 0.1])]


def test_photos_come_to_accuracies_maps_and_a_page_and_again_without_training(shop, tmp_path, capsys, monkeypatch):
    assert sen_fashion.main(shop) == 0
    found = json.loads((tmp_path / "run" / "report.json").read_text())
    assert set(found["accuracy"]) == {"colour"}  # the other columns have one class: nothing to learn
    assert found["accuracy"]["colour"]["accuracy"] == 1 and found["photos"] == {
        "train": 36,
        "validation": 12,
        "test": 12,
    }
    looks = found["on_product"]["colour"]
    assert looks["even"] == pytest.approx(0.25) and looks["mass"] > 0.9 > 0.8 > looks["others"]
    page = (tmp_path / "run" / "report.md").read_text()
    assert page in capsys.readouterr().out and "| colour | 1.000 | - | 1.000 |" in page
    with Image.open(tmp_path / "run" / "maps.png") as sheet:
        assert sheet.height > 3 * sheet.width  # eight photos, each with one attribute beside it
    with monkeypatch.context() as patch:  # what a result is adorned with costs no result
        patch.setattr(sen_fashion, "draw_sheet", lambda *_: 1 / 0)
        assert sen_fashion.main(shop) == 0
    assert "maps.png could not be made (ZeroDivisionError" in capsys.readouterr().err
    again = json.loads((tmp_path / "run" / "report.json").read_text())
    assert again["seconds"]["training"] == found["seconds"]["training"]
    assert {**again, "seconds": 0} == {**found, "seconds": 0}


class Seen(Exception):
    """Ends a command where its network would be trained: what it was given is known then."""


def test_the_network_learns_from_train_and_is_stopped_by_validation(shop, tmp_path, monkeypatch):
    given = []

    def noted(network, variables, batches, validation, *rest):
        given.append((batches.inputs, batches.labels, *validation))
        raise Seen

    monkeypatch.setattr(sen_fashion, "train_attributes", noted)
    with pytest.raises(Seen):
        sen_fashion.main(shop)
    labelled = labelled_pictures("mine", tmp_path / "photos")
    rows = [row for row in range(60) if row % 5 < 3], [row for row in range(60) if row % 5 == 3]
    colour = labelled.labels[:, [labelled.names.index("colour")]]
    inputs, labels, held_out, wanted = given[0]
    np.testing.assert_array_equal(labels, colour[rows[0]])
    np.testing.assert_array_equal(wanted, colour[rows[1]])
    assert (colour[rows[1]] != colour[[row + 1 for row in rows[1]]]).any(), "test has other labels"
    for maps, some in ((inputs, rows[0]), (held_out, rows[1])):  # a colour's cells say which photo it is
        is_red = maps[..., 1].sum((1, 2)) > maps[..., 0].sum((1, 2))  # how far from white
        np.testing.assert_array_equal(is_red, [row % 2 == 1 for row in some])


def test_maps_are_kept_under_what_the_photos_are(shop, tmp_path):
    labelled = labelled_pictures("mine", tmp_path / "photos")
    photos, mirrored = Photos(labelled, SIDE), Photos(labelled, SIDE, mirror=True)
    np.testing.assert_array_equal(photos[1], mirrored[1][:, ::-1])
    keys = {photos.key, mirrored.key, Photos(labelled, 8).key}
    Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "photos" / "3.png")
    assert len(keys | {Photos(labelled, SIDE).key}) == 4


def test_the_product_is_what_is_not_white():
    photo = np.full((2, 3, 3), 250, np.uint8)
    photo[0, 1] = (250, 250, 200)
    assert product(photo).tolist() == [[False, True, False], [False, False, False]]


def test_mass_on_the_product_counts_maps_that_are_there():
    photo = np.full((4, 4, 3), 255, np.uint8)
    photo[:, :2] = 0
    maps = np.zeros((2, 1, 2, 2), np.float32)
    maps[0, 0, 0] = (3, 1)
    found = photos.on_product({5: photo, 9: photo}, np.array([5, 9]), maps, ["toe"])
    assert found == {"toe": {"empty": 1, "mass": 0.75, "even": 0.5, "others": 0.75}}


def test_an_attribute_below_its_bar_is_named_and_the_command_says_so(shop, monkeypatch, tmp_path):
    monkeypatch.setitem(BARS, "mine", {"colour": 1.1})
    assert sen_fashion.main(shop) == 1
    assert "Below its bar: colour." in (tmp_path / "run" / "report.md").read_text()
    figures = {"accuracy": {"gender": {"labelled": 1, "accuracy": 0.78}}}
    assert missed(figures, "fashion_products") == ["masterCategory", "subCategory", "articleType"]
