"""What needs no training, on the published files: HR@10 as the mean over five draws of negatives."""

import jax
import numpy as np
import pytest

from socialjax.data.sets import PUBLISHED
from socialjax.eval import groups, ranking
from socialjax.eval.protocol import candidates, parse
from socialjax.models.cf.reference import Friends, Popular

pytestmark = pytest.mark.usefixtures("compiled_as_for_users")
LINES = {
    ("yelp", "official"): {"popular": 0.113, "friends": 0.151},
    ("yelp", "strict"): {"popular": 0.114, "friends": 0.152},
    ("flickr", "official"): {"popular": 0.080, "friends": 0.087},
}
USERS_BY_ITEMS = {"yelp": [2807, 4938, 2162, 585, 130], "flickr": [503, 1647, 1675, 1192, 1094]}


@pytest.fixture(scope="module", params=["yelp", "flickr"])
def data(request, real_data):
    return PUBLISHED[request.param].read(real_data / request.param, 0)


@pytest.mark.slow
def test_reference_lines_on_published_files(data):
    models = {"popular": Popular(), "friends": Friends()}
    sides = {name: jax.device_put(model.prepare(data)) for name, model in models.items()}
    for (dataset, negatives), lines in LINES.items():
        if dataset != data.name:
            continue
        found = {name: [] for name in models}
        for seed in range(5):
            lists = candidates(data, parse(f"sampled1000-{negatives}", seed=seed))
            for name, model in models.items():
                found[name].append(ranking.evaluate(model, {}, sides[name], lists).mean()["HR@10"])
        for name, line in lines.items():
            assert abs(np.mean(found[name]) - line) <= 0.002, (dataset, negatives, name, found[name])


def test_groups_have_the_published_sizes(data):
    lists = candidates(data, parse("full"))
    counts = groups.interaction_counts(data)[lists.users]
    assert np.histogram(counts, [*groups.BOUNDS, np.inf])[0].tolist() == USERS_BY_ITEMS[data.name]
    if data.name == "yelp":
        degrees = groups.social_degrees(data.links, data.num_users)[lists.users]
        found = np.histogram(degrees, [*groups.FINE_BOUNDS, np.inf])[0].tolist()
        assert found == [2859, 2452, 2154, 1548, 931, 678]
