"""A run of SAERS is explained with the regions of attributes: records, pictures and the gallery page."""

import dataclasses
import json
import re

import numpy as np
import pytest
from PIL import Image
from tiny import TINY

from socialjax import load
from socialjax.commands import explain
from socialjax.data.own import attribute_files
from socialjax.data.sources import DataSettings
from socialjax.models.cf.bpr import BPR
from socialjax.models.visual.saers import SAERS
from socialjax.run.execute import main
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.train.step import TrainSettings
from socialjax.worlds.garments import garment_world


@pytest.fixture(scope="module")
def garments(tmp_path_factory):
    """A drawn world as a folder, with all pictures but that of item 3."""
    folder = tmp_path_factory.mktemp("data") / "garments"
    world = garment_world(seed=1, users=12, items=30, purchases=8, size=32)
    data = dataclasses.replace(world.data, name="garments", attributes=world.label_attributes())
    attribute_files.write(folder, data)
    (folder / "pictures").mkdir()
    for item, name in enumerate(data.item_pictures):
        if item != 3:
            Image.fromarray(world.pictures.pixels[item]).save(folder / "pictures" / str(name))
    return folder, data


@pytest.fixture(scope="module")
def finished(garments, run_home, tmp_path_factory):
    """A run of SAERS and one of BPR."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
        for name, model in (("saers", SAERS(dim=4)), ("bpr", BPR(dim=4))):
            experiment = Experiment(
                model=model,
                data=DataSettings(name="garments", dir=garments[0]),
                train=TrainSettings(**TINY),
                eval=EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10)),
                seeds=(0,),
                workdir=folder / name,
            )
            assert main(Definition(name, "A small run.", experiment), []) == 0
    return folder


def test_pictures_and_records_have_the_boxes_of_the_data_in_pixels(finished, garments, tmp_path, capsys):
    data = garments[1]
    out = tmp_path / "why"
    words = [str(finished / "saers"), "--user", "2", "--item", "5", "--item", "7", "--out", str(out)]
    assert explain.main(words) == 0
    record = json.loads((out / "explanation.json").read_text())["explanations"][0]
    assert record["picture"] == {"file": "garment-5.png", "width": 32, "height": 32}
    listed = record["attributes"]
    assert {each["name"] for each in listed} == {
        data.attributes.names[k] for k in np.flatnonzero(data.attributes.valid[5])
    }
    for each in listed:
        k = data.attributes.names.index(each["name"])
        np.testing.assert_allclose(each["box"], 32 * data.attributes.boxes[5, k], atol=0.051)
        assert 0 < each["affinity"] < 1
    # What is said is what the model computes.
    why = load(finished / "saers").explanation([2], [5])
    assert sorted(each["like"] for each in listed) == pytest.approx(sorted(why.elements["attributes"].weight.tolist()))
    assert sum(each["like"] for each in listed) == pytest.approx(1)
    for name in ("boxes_user_2_item_5.png", "boxes_user_2_item_7.png", "user_2_item_5.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert f"{listed[0]['name']}: {listed[0]['class_name']}" in said and "PLANTED" in said


def test_the_gallery_shows_users_nobody_named_and_leaves_out_what_has_no_picture(finished, tmp_path, capsys):
    page = tmp_path / "pages" / "page.html"
    assert explain.main([str(finished / "saers"), "--gallery", str(page), "--k", "2"]) == 0
    text = page.read_text()
    assert (
        "sums to 1" in text and text.count("<section>") == 6 and "SAERS on garments, seed 0: 12 users, 30 items" in text
    )
    assert "PLANTED: garments was generated" in text and str(page) in capsys.readouterr().out
    words = [str(finished / "saers"), "--user", "0", "--item", "3", "--item", "4", "--gallery", str(page)]
    assert explain.main(words) == 0
    text = page.read_text()
    assert len(re.findall("<svg", text)) == 1 and "1 of 2 explanations are left out" in text


def test_what_has_no_attributes_or_pictures_is_told_and_other_runs_are_explained_as_before(finished, tmp_path, capfd):
    assert explain.main([str(finished / "bpr"), "--user", "0", "--gallery", str(tmp_path / "p.html")]) != 0
    said = capfd.readouterr()
    assert "BPR weighs no attributes, so there is no gallery" in said.err and "score" not in said.out
    words = [str(finished / "saers"), "--user", "0", "--item", "3", "--gallery", str(tmp_path / "p.html")]
    assert explain.main(words) != 0
    said = capfd.readouterr().err
    assert "wanted the picture 'garment-3.png'" in said and "needs items with attributes" in said
    assert explain.main([str(finished / "bpr"), "--user", "0", "--k", "1", "--out", str(tmp_path / "bpr")]) == 0
    assert len(list((tmp_path / "bpr").iterdir())) == 2
