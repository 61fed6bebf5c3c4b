"""The loader of Yelp with attributes, on a folder made by hand and on the files themselves."""

import gzip

import numpy as np
import pytest

from socialjax.data import validate
from socialjax.data.schema import counts, pair_keys
from socialjax.data.sets import yelp_hin
from socialjax.formats.file_bytes import DataError

USERS, ITEMS = 30, 40


@pytest.fixture
def folder(tmp_path):
    """30 users, the last of whom likes nothing; 40 businesses, the last without attributes; 5 categories, 3 cities."""
    rng = np.random.default_rng(0)
    user, item = np.divmod(rng.permutation(USERS * ITEMS)[:800], ITEMS)
    rating = np.where(user == USERS - 1, 3, rng.integers(1, 6, 800))
    category = [(b, a, 1) for b in range(1, ITEMS) for a in range(1, 6) if (b + a) % 3 == 0 or a == b % 5 + 1]
    city = [(b, b % 3 + 1, 1) for b in range(1, ITEMS)]
    write(tmp_path / "user_business.dat", np.stack([user + 1, item + 1, rating], 1))
    write(tmp_path / "user_user.dat", [(1, 2, 1), (2, 1, 1), (3, 2, 1), (2, 3, 1)])
    write(tmp_path / "business_category.dat", category)
    write(tmp_path / "business_city.dat", city)
    return tmp_path


def write(path, rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


def lines(path):
    return [tuple(map(int, line.split())) for line in path.read_text().splitlines()]


def read(folder, seed=0, width=8):
    return yelp_hin.read_files(folder, USERS, ITEMS, seed, width)


def test_ratings_above_3_are_split_by_diffnets_rule(folder):
    data = read(folder)
    liked = {(u - 1, b - 1): r for u, b, r in lines(folder / "user_business.dat") if r > 3}
    got = {
        (int(u), int(b)): int(r)
        for pairs in data.parts().values()
        for u, b, r in zip(pairs.user, pairs.item, pairs.value)
    }
    assert got == liked and sum(map(len, data.parts().values())) == len(liked)
    for user in range(USERS):
        n = sum(u == user for u, _ in liked)
        sizes = [int((pairs.user == user).sum()) for pairs in data.parts().values()]
        assert sizes == [n - n * 15 // 100, n * 5 // 100, n * 15 // 100 - n * 5 // 100]
    assert (data.links.follower.tolist(), data.links.followee.tolist()) == ([0, 1, 2, 1], [1, 0, 1, 2])
    said = "\n".join(data.provenance.repairs)
    assert f"{800 - len(liked)} ratings below 4 left out" in said and "seed 0" in said


def columns_slowly(folder):
    """Categories times log(businesses / businesses with it), each row of length 1; then the city; one at a time."""
    category, city = lines(folder / "business_category.dat"), lines(folder / "business_city.dat")
    table = np.zeros((ITEMS, yelp_hin.CATEGORIES + yelp_hin.CITIES))
    for business, attribute, _ in category:
        table[business - 1, attribute - 1] = np.log(ITEMS / sum(a == attribute for _, a, _ in category))
    for row in table:
        if row.any():
            row /= np.sqrt((row**2).sum())
    for business, place, _ in city:
        table[business - 1, yelp_hin.CATEGORIES + place - 1] = 1
    return table


def test_item_features_have_the_inner_products_of_the_weighted_columns(folder):
    items, slow = read(folder).item_features, columns_slowly(folder)
    assert items.shape == (ITEMS, 8) and items.dtype == np.float32
    np.testing.assert_allclose(items @ items.T, slow @ slow.T, atol=1e-5)  # 5 + 3 columns: 8 directions hold all
    assert not items[-1].any()


def test_few_directions_are_the_best_few(folder):
    items, slow = read(folder, width=3).item_features, columns_slowly(folder)
    lost = np.linalg.norm(slow @ slow.T - items @ items.T)
    values = np.linalg.svd(slow, compute_uv=False)
    assert lost == pytest.approx(np.sqrt((values[3:] ** 4).sum()), rel=1e-4)  # no three directions lose less


def test_user_features_are_means_over_training_items_alone(folder):
    data = read(folder)
    for user in range(USERS):
        mine = data.item_features[data.train.item[data.train.user == user]]
        wanted = mine.mean(axis=0) if len(mine) else np.zeros(8)
        np.testing.assert_allclose(data.user_features[user], wanted, atol=1e-6)
    assert not data.user_features[-1].any()
    # Whoever has another training part, by another seed, has other features.
    assert not np.array_equal(read(folder, seed=1).user_features, data.user_features)


def test_the_seed_chooses_the_pairs_and_not_how_many(folder):
    one, again, other = read(folder), read(folder), read(folder, seed=1)
    assert counts(one) == counts(other)
    np.testing.assert_array_equal(one.test.item, again.test.item)
    np.testing.assert_array_equal(one.item_features, other.item_features)
    assert set(pair_keys(one.test, ITEMS)) != set(pair_keys(other.test, ITEMS))


def test_packed_files_are_read_and_others_refused(folder):
    whole = read(folder)
    path = folder / "user_business.dat"
    with gzip.open(f"{path}.gz", "wb") as packed:
        packed.write(path.read_bytes())
    text = path.read_text()
    path.unlink()
    np.testing.assert_array_equal(read(folder).train.item, whole.train.item)
    path.write_text(text.replace("\t4\n", "\t9\n", 1))
    with pytest.raises(DataError, match="wanted ratings 1 to 5"):
        read(folder)
    path.write_text(text)
    with pytest.raises(DataError, match=r"yelp_hin' is not the published one[\s\S]*differs|must be in 0"):
        yelp_hin.read(folder)
    write(folder / "business_city.dat", [(1, 48, 1)])
    with pytest.raises(DataError, match="attribute ids up to 47, got 1 and 48"):
        read(folder)
    (folder / "user_user.dat").unlink()
    with pytest.raises(DataError, match=r"lacks user_user\.dat"):
        read(folder)


def test_the_published_files_are_as_published(real_data):
    data = yelp_hin.read(real_data / "yelp_hin")
    assert counts(data) == yelp_hin.SET.counts and data.provenance.kind == "real"
    validate.check(data)
    links = set(zip(data.links.follower.tolist(), data.links.followee.tolist()))
    assert all((b, a) in links for a, b in links)
    values = np.concatenate([pairs.value for pairs in data.parts().values()])
    assert [(values == rating).sum() for rating in (4, 5)] == [75_918, 58_258] and set(values) == {4, 5}
    assert data.item_features.shape == (14_284, yelp_hin.WIDTH) and data.user_features.shape == (16_239, yelp_hin.WIDTH)
    user = int(data.test.user[0])
    mine = data.item_features[data.train.item[data.train.user == user]]
    np.testing.assert_allclose(data.user_features[user], mine.mean(axis=0), atol=1e-6)
