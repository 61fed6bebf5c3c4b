"""The loaders of published files, on the files themselves."""

import gzip
import shutil

import numpy as np
import pytest

from socialjax.data import validate
from socialjax.data.facts import facts
from socialjax.data.schema import counts, pair_keys
from socialjax.data.sets import PUBLISHED, diffnet, filmtrust, lastfm
from socialjax.formats.file_bytes import DataError


@pytest.fixture(scope="module", params=["yelp", "flickr"])
def social(request, real_data):
    return PUBLISHED[request.param].read(real_data / request.param, 0)


def test_diffnet_files_are_as_published(social):
    assert counts(social) == PUBLISHED[social.name].counts
    assert social.provenance.kind == "real" and social.provenance.repairs == ()
    assert sorted(social.provenance.files) == sorted(diffnet.files(social.name))
    assert all(column.dtype == np.int32 for column in (social.train.user, social.train.item, social.links.follower))
    assert social.train.value is None  # the third column is 1 throughout


def test_every_fact_of_the_specification_holds(social):
    found = facts(social)
    assert {key: found[key] for key in PUBLISHED[social.name].facts} == PUBLISHED[social.name].facts


def test_a_fact_that_fails_is_told(social):
    found = facts(social)
    with pytest.raises(DataError, match=r"self links +7 +0  <- differs"):
        validate.compare(social.name, found, {**PUBLISHED[social.name].facts, "self links": 7})


def test_the_columns_are_those_of_a_line_by_line_reader(real_data):
    data = diffnet.read(real_data / "yelp", "yelp")
    lines = (real_data / "yelp" / "yelp.test.rating").read_text().splitlines()
    slow = np.array([[int(field) for field in line.split()] for line in lines])
    np.testing.assert_array_equal(np.stack([data.test.user, data.test.item], 1), slow[:, :2])
    first = (real_data / "yelp" / "yelp.links").read_text().split("\n", 1)[0].split()
    assert [data.links.follower[0], data.links.followee[0]] == [int(first[0]), int(first[1])]


def test_a_changed_file_is_not_taken_for_the_published_one(real_data, tmp_path):
    for name in diffnet.files("yelp"):
        shutil.copyfile(real_data / "yelp" / name, tmp_path / name)
    text = (tmp_path / "yelp.test.rating").read_bytes()
    with gzip.open(tmp_path / "yelp.test.rating.gz", "wb", compresslevel=1) as packed:
        packed.write(text.split(b"\n", 1)[1])
    (tmp_path / "yelp.test.rating").unlink()
    with pytest.raises(DataError, match=r"test +18579 +18578  <- differs"):
        diffnet.read(tmp_path, "yelp", PUBLISHED["yelp"].counts)
    assert len(diffnet.read(tmp_path, "yelp").test) == 18_578


def test_lastfm_starts_at_0_is_symmetric_and_makes_its_validation(real_data):
    data = lastfm.read(real_data / "lastfm")
    assert counts(data) == lastfm.COUNTS
    assert len(data.train) + len(data.validation) == 42_135
    links = set(zip(data.links.follower.tolist(), data.links.followee.tolist()))
    assert all((b, a) in links for a, b in links)
    assert (data.train.user.min(), data.links.follower.min(), data.links.follower.max()) == (0, 0, 1_891)
    assert data.train.value.max() == 324_660 or data.validation.value.max() == 324_660
    assert len(data.provenance.repairs) == 2
    other = lastfm.read(real_data / "lastfm", seed=1)
    assert counts(other) == lastfm.COUNTS  # the seed chooses which pairs, not how many
    assert set(pair_keys(other.validation, 4_489)) != set(pair_keys(data.validation, 4_489))


def test_filmtrust_states_its_repairs_and_holds_trusted_users_without_ratings(real_data):
    data = filmtrust.read(real_data / "filmtrust")
    assert counts(data) == filmtrust.COUNTS
    assert data.num_users == 1_642 and data.train.user.max() < 1_508
    said = "\n".join(data.provenance.repairs)
    assert "2 duplicate pairs in train" in said
    assert "1 pairs in test that are in train too dropped from test" in said
    assert "2722 pairs taken from train" in said
    assert set(np.unique(data.train.value)) == {0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4}


@pytest.mark.parametrize("loader", [lastfm, filmtrust])
def test_a_folder_without_the_files_lists_them(loader, tmp_path):
    (tmp_path / loader.FILES[0].name).write_text("1 1 1\n")
    with pytest.raises(DataError, match=f"lacks {loader.FILES[1].name}, {loader.FILES[2].name}"):
        loader.read(tmp_path)
