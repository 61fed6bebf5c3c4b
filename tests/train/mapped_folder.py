"""A small graph folder of a world, and what trains on it."""

import numpy as np

from socialjax.data.large.inputs import Columns
from socialjax.data.large.layout import open_graph
from socialjax.data.large.prepare import prepare
from socialjax.data.large.settings import PrepareSettings
from socialjax.run.mapped import mapped_graph
from socialjax.train.host_batches import Draws, ShuffledPairs
from socialjax.train.mapped import check_model


def folder_of(world, path):
    """The pairs of all parts of a world, split anew, and its links, some of them in one direction."""
    parts = world.train, world.validation, world.test
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in ("user", "item")]
    one_way = world.links.follower < world.links.followee + 5
    settings = PrepareSettings(ids="row numbers", num_users=world.num_users, num_items=world.num_items)
    links = Columns(world.links.follower[one_way], world.links.followee[one_way])
    prepare(path, Columns(*columns), links, settings, progress=False)
    return open_graph(path)


def drawing(graph, model, fanouts, batch_size=32, seed=3, links=None):
    """The fixed data of a model on a folder, and what its steps read."""
    check_model(model)
    side = model.prepare(mapped_graph(graph, fanouts, links))
    pairs = ShuffledPairs(graph.train.user, graph.train.item, batch_size, seed)
    return side, Draws(model, side, pairs, graph.user_items, graph.num_items, seed)
