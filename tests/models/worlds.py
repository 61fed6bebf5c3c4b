"""Small data sets for tests of models, with every kind of user and item that needs care."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins

from socialjax.contract import Batch
from socialjax.data.schema import (
    Attributes,
    Dataset,
    FrameLikes,
    Frames,
    Interactions,
    Links,
    Provenance,
    interactions,
    no_interactions,
)
from socialjax.ops import sample

PLANTED = Provenance("planted", "a test")


def dataset(
    num_users, num_items, train, links=None, user_features=None, item_features=None, name="small", owners=None
) -> Dataset:
    """train: pairs (user, item); links: pairs (follower, followee) or None; owners: one for each item, or None.

    Validation and test hold pairs that are not in train, so that a model which looks at them is another model.
    """
    train = np.reshape(np.array(train, np.int32), (-1, 2))
    validation, test = held_out(num_users, num_items, train)
    if links is not None:
        links = Links(*np.reshape(np.array(links, np.int32), (-1, 2)).T.copy())
    return Dataset(
        name=name,
        num_users=num_users,
        num_items=num_items,
        train=interactions(train[:, 0], train[:, 1]),
        validation=validation,
        test=test,
        provenance=PLANTED,
        links=links,
        user_features=user_features,
        item_features=item_features,
        owners=None if owners is None else np.array(owners, np.int32),
    )


def held_out(num_users: int, num_items: int, train: np.ndarray, seed: int = 0) -> tuple[Interactions, Interactions]:
    """(validation, test) from pairs that are not in train i32[N, 2]: a quarter as many each and two at least, or half
    of what is left of a tiny world. Users without training pairs and items that nobody took have some too."""
    taken = np.zeros((num_users, num_items), bool)
    taken[train[:, 0], train[:, 1]] = True
    free = np.random.default_rng(seed).permutation(np.argwhere(~taken))
    size = min(max(len(train) // 4, 2), len(free) // 2)
    return tuple(interactions(part[:, 0], part[:, 1]) for part in (free[:size], free[size : 2 * size]))


# User 2 took one item, 5 nothing and has friends, 6 took items and has no friend, 8 has neither; item 6 is untrained.
# Links go one way (0 -> 1), both ways (1 <-> 2), and into users who follow nobody (3, 5).
TRAIN = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 3), (2, 4), (3, 0), (3, 5), (3, 2), (3, 1), (4, 2), (6, 3), (6, 5), (7, 0)]
LINKS = [(0, 1), (0, 3), (1, 2), (2, 1), (2, 3), (4, 5), (4, 3), (7, 0), (0, 7), (1, 5), (2, 5)]
NUM_USERS, NUM_ITEMS = 9, 7
# User 1 made two items, 8 one; 2, 5, 6 and 7 made none; nobody knows who made item 3.
OWNERS = [1, 1, 4, -1, 0, 8, 3]


def small(user_width: int | None = None, item_width: int | None = None, links: bool = True) -> Dataset:
    """Nine users, seven items; features of the given widths, with a mean and a spread that are not 0 and 1."""
    rng = np.random.default_rng(0)
    draw = lambda rows, width: None if width is None else (rng.normal(size=(rows, width)) * 2 + 1).astype(np.float32)  # noqa: E731
    features = draw(NUM_USERS, user_width), draw(NUM_ITEMS, item_width)
    return dataset(NUM_USERS, NUM_ITEMS, TRAIN, LINKS if links else None, *features, owners=OWNERS)


def with_frames(data: Dataset, width: int = 4, seed: int = 2) -> Dataset:
    """The same with up to five frames an item; the second item has none, the third one."""
    rng = np.random.default_rng(seed)
    count = 2 + rng.integers(4, size=data.num_items)
    count[1:3] = (0, 1)[: max(data.num_items - 1, 0)]
    features = (rng.normal(size=(count.sum(), width)) * 2 + 1).astype(np.float32)
    return dataclasses.replace(data, frames=Frames(np.concatenate([[0], np.cumsum(count)]), features))


def with_attributes(data: Dataset, width: int = 5, seed: int = 3) -> Dataset:
    """The same with three attributes of two, three and two classes; the third item has none, the fourth one.

    Product groups too: that of the third item is not known.
    """
    rng = np.random.default_rng(seed)
    classes, shape = (("a", "b"), ("c", "d", "e"), ("f", "g")), (data.num_items, 3)
    valid = rng.random(shape) < 0.8
    valid[0], valid[2:3], valid[3:4] = True, False, [False, True, False]
    label = np.where(valid, rng.integers([2, 3, 2], size=shape), -1).astype(np.int16)
    features = (rng.normal(size=(*shape, width)) * 2 + 1).astype(np.float32)
    whole = np.broadcast_to(np.float32([0, 0, 1, 1]), (*shape, 4))
    cells = valid, label, np.full(shape, 0.9, np.float32), whole, np.zeros(shape, bool)
    table = Attributes(("one", "two", "three"), classes, features, *cells)
    groups = np.array(["top", "shoe", "", "top"] * data.num_items)[: data.num_items]
    return dataclasses.replace(data, attributes=table, item_groups=groups)


def reordered(data: Dataset, seed: int = 1) -> Dataset:
    """The same training pairs and links in another order."""
    rng = np.random.default_rng(seed)
    train = data.train.take(rng.permutation(len(data.train)))
    links = data.links
    if links is not None:
        order = rng.permutation(len(links))
        links = Links(links.follower[order], links.followee[order])
    return dataclasses.replace(data, train=train, links=links)


def with_likes(data: Dataset, number: int = 5, seed: int = 0) -> Dataset:
    """The same with some frames that users are known to like: the truth of a test, like the test part."""
    rng = np.random.default_rng(seed)
    frame = rng.integers(len(data.frames), size=number).astype(np.int32)
    likes = FrameLikes(rng.integers(data.num_users, size=number).astype(np.int32), data.frames.item[frame], frame)
    return dataclasses.replace(data, frame_likes=likes)


def held_out_otherwise(data: Dataset) -> dict[str, Dataset]:
    """The same train part, links and features with other held-out pairs (and, with frames, other likes)."""
    other = held_out(data.num_users, data.num_items, np.stack([data.train.user, data.train.item], axis=1), seed=5)
    found = {"other pairs": other, "parts exchanged": (data.test, data.validation), "none": (no_interactions(),) * 2}
    found = {how: dataclasses.replace(data, validation=v, test=t) for how, (v, t) in found.items()}
    if data.frames is not None:
        found["other likes"] = with_likes(data, seed=7)
    return found


def assert_same_leaves(ours, theirs, what=""):
    """Equal structure, static fields included, and every array the same number by number."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for (path, mine), (_, other) in zip(*(jax.tree_util.tree_leaves_with_path(tree) for tree in (ours, theirs))):
        assert np.shape(mine) == np.shape(other), (what, jax.tree_util.keystr(path))
        np.testing.assert_array_equal(mine, other, err_msg=f"{what}: {jax.tree_util.keystr(path)}")


def random_params(model, side, seed: int = 0, std: float = 0.4):
    """Parameters of the model's shapes with no number at 0, biases included."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda side: model.init(jax.random.key(0), side), side)
    return jax.tree.map(lambda leaf: rng.normal(0, std, leaf.shape).astype(leaf.dtype), shapes)


def random_batch(data: Dataset, negatives: int = 3, rows: int = 12, seed: int = 0) -> Batch:
    """Training pairs with drawn items, a row of half weight and two rows of padding."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(len(data.train), size=rows)
    weight = np.ones(rows, np.float32)
    weight[[1, rows - 2, rows - 1]] = 0.5, 0, 0
    drawn = rng.integers(data.num_items, size=(rows, negatives)).astype(np.int32)
    return Batch(data.train.user[pairs], data.train.item[pairs], drawn, weight, np.arange(rows, dtype=np.uint32))


@functools.partial(jax.jit, static_argnums=0)
def encode(model, params, side):
    return model.encode(params, side)


@functools.partial(jax.jit, static_argnums=0)
def scores_and_loss(model, params, side, batch, key=0):
    """All scores f32[U, I], and the loss of the batch, in one program."""
    state = model.encode(params, side)
    users, items, _ = model.vectors(state)
    every = jnp.broadcast_to(jnp.arange(items.shape[0]), (users.shape[0], items.shape[0]))
    scores = model.score(state, jnp.arange(users.shape[0]), every)
    return scores, model.loss(params, side, batch, key)


def assert_equals_twin(model, data, twin_of, dropout_key=7):
    """Scores of all pairs, loss, weight and objective equal the equations to 1e-5."""
    side, batch = model.prepare(data), random_batch(data, model.negatives)
    params = random_params(model, side)
    scores, ((total, weight), metrics) = scores_and_loss(model, params, side, batch, dropout_key)
    twin, user_norms, item_norms = twin_of(model, data, params)
    expected = [[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    masks = None
    if model.dropout:  # which numbers are dropped is no part of the equations: ask for it
        ones = np.ones((len(batch.rows), model.dim), np.float32)
        masks = np.asarray(sample.dropout(dropout_key, ones, batch.rows, model.dropout))
    slow = twin.loss(batch, user_norms, item_norms, masks)
    np.testing.assert_allclose([total, weight, metrics["objective"]], slow, rtol=1e-5, atol=1e-5)
    return scores


def assert_gradient_equals_twin(model, data, twin_of, directions=3, rel=1e-4, abs=1e-5):
    """Along random directions, by differences of the twin's loss in double precision."""
    side, batch = model.prepare(data), random_batch(data, model.negatives)
    params = random_params(model, side)
    gradient = jax.jit(jax.grad(lambda params, side: model.loss(params, side, batch, 0)[0][0]))(params, side)
    for seed in range(directions):
        rng = np.random.default_rng(seed)
        direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), params)  # noqa: B023

        def loss(step):
            moved = jax.tree.map(lambda leaf, d: np.float64(leaf) + step * d, params, direction)  # noqa: B023
            twin, *norms = twin_of(model, data, moved)
            return twin.loss(batch, *norms)[0]

        along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.sum(g * d), gradient, direction)))
        assert along == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=rel, abs=abs)


def assert_new_users_equal_old_ones(model, data, users):
    """Who has the items and friends of an old user that has no vector of its own gets the same vector."""
    side = model.prepare(data)
    params = random_params(model, side)
    (params["tables"] if "tables" in params else params)["users"][users] = 0.0
    state = encode(model, params, side)
    taken = twins.taken_by(data)
    friends = (
        twins.friends_of(data, getattr(model, "symmetric", False))
        if "links" in model.traits.needs
        else [[]] * data.num_users
    )
    for user in users:
        got = model.new_user(state, side, np.array(taken[user], np.int32), np.array(friends[user], np.int32))
        np.testing.assert_allclose(got, np.asarray(state.users)[user], rtol=1e-5, atol=1e-6)
        assert got.dtype == np.float32 and got.any() == bool(taken[user] or friends[user])
