"""SAERS: recommendation explained by the regions of semantic attributes (Hou, Wu, Chen, Li, Zheng, Liu: Explainable
Fashion Recommendation, IJCAI 2019). The equations are a reconstruction; where the paper could differ is a field
(docs/saers.md).
"""

import dataclasses
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Explanation, Kind, Ragged, Traits
from socialjax.models.parts import EmbeddingModel, Factors, dot_scores, pair_dot, require_at_least
from socialjax.models.visual import saers_attention
from socialjax.models.visual.saers_attention import (
    AttributeTable,
    AttributeVectors,
    attribute_table,
    relative_entropy,
    scaled,
)
from socialjax.ops import losses, sample

# Valid attributes of an item: ids are their numbers k, weight the attention a_uik, contribution a_uik t_u . h_ik.
# Columns are product, t_u . h_ik, and affinity, its sigmoid, which looks like a probability and is none.
ATTRIBUTES = Kind(
    ("attribute",),
    "its attributes",
    part="semantic",
    ranked_by="weight",
    words={"weight": "attention", "affinity": "affinity"},
    note="attention: how much of the user's look at the item goes to the attribute, sums to 1\n"
    "affinity: how well the attribute fits the user's taste, 0.5 is neither for nor against",
)
LABELS = {"global": "how it looks as a whole"}


def explain(model, state, side, users, items) -> Explanation:
    """Parts, if present: `global` p_u . W_g g_i, `semantic` t_u . s_ui, `taste` gamma_u . q_i and `item_bias`.

    Elements: `attributes`, which add up to `semantic`.
    """
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    parts, elements = {}, {}
    user_vectors, item_vectors = np.asarray(state.users)[users], np.asarray(state.items)[items]
    split = user_vectors.shape[1] - model.dim * model.free_items
    if split:
        parts["global"] = pair_dot(user_vectors[:, :split], item_vectors[:, :split])
    if state.attribute_vectors is not None:
        attended = saers_attention.attended(model, state, users, items[:, None])
        share, product = (np.asarray(values, np.float64)[:, 0] for values in attended)
        parts["semantic"] = (share * product).sum(axis=1).astype(np.float32)
        elements["attributes"] = _rows(share, product, np.asarray(state.attribute_vectors.valid)[items])
    if model.free_items:
        parts["taste"] = pair_dot(user_vectors[:, split:], item_vectors[:, split:])
    return model.explained(state, users, items, parts, elements, LABELS)


def _rows(share: np.ndarray, product: np.ndarray, valid: np.ndarray) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int64)
    pair, attribute = np.nonzero(valid)
    share, added, product = (values[pair, attribute].astype(np.float32) for values in (share, share * product, product))
    columns = {"product": product, "affinity": np.tanh(product / 2) / 2 + 0.5}  # as tanh it cannot overflow
    return Ragged(offsets, attribute.astype(np.int32), share, added, ATTRIBUTES, columns)


USERS = ("users", "attribute_users", "free_users")  # the parameters that are vectors of users


@struct.dataclass
class SAERSSide:
    """Attributes and images of items.

    Attributes:
      attributes: Features of each attribute of each item.
      images: f32[I, G] of mean length 1, or None.
      known: f32[I], 0 for items whose b_i and q_i are 0, else 1.
      num_users: U.
    """

    attributes: AttributeTable
    images: jax.Array | None
    known: jax.Array
    num_users: int = struct.field(pytree_node=False)


@struct.dataclass
class SAERSState(Factors):
    """Factors of the terms that are dot products, [p, gamma] and [W_g g, q], of width 0 where the model has neither.

    Attributes:
      attribute_users: f32[U, D], t, or None without the semantic term.
      attribute_vectors: h of all items, or None without the semantic term.
      attention: Parameters of the attention, or None.
    """

    attribute_users: jax.Array | None
    attribute_vectors: AttributeVectors | None
    attention: dict | None


@dataclasses.dataclass(frozen=True)
class SAERS(EmbeddingModel):
    """For attributes k of item i, with the vectors f_ik of their regions, and its picture as a whole, g_i:

        h_ik = W_f f_ik                                               the attribute in the semantic space
        e_uik = w . tanh(W_u t_u + W_a h_ik + b)                      additive attention
        a_uik = softmax over the valid attributes of e_uik
        s = b_i + p_u . (W_g g_i) + t_u . sum over k of a_uik h_ik

    Hou et al., IJCAI 2019; docs/saers.md says what of the equations is reconstruction. An item has no free vector, so
    an item without training pairs is scored like any other; without a valid attribute it has no semantic term. g_i are
    the item's features; without any there is no global term.

    Attributes:
      dim: Embedding size D of p, t, q and the semantic space, at least 1.
      attention: additive as above; dot, t_u . h_ik; user, w_k . t_u whatever the item looks like; uniform, all valid
        attributes alike.
      attention_dim: Width of w in additive attention; 0 takes dim.
      attention_scale: Initial standard deviation of W_u, W_a and w (w_k), at least 0. Small ones stay uniform for long,
        which `attention_entropy` in the log shows.
      space: both; global or semantic leave the other term out.
      regions: Whether attributes are the vectors of their regions, or the class of each attribute alone.
      projection: One W_f for all attributes, shared, or one for each, own.
      free_items: Whether the score has gamma_u . q_i with a free vector of the item.
      cold: b_i and q_i of items without training pairs: features, 0, or learned, like all others, from being drawn as
        negatives.
      l2: Lambda on the squared norms of p, t, gamma, q and b_i in a batch's rows.
      feature_l2: Lambda on W_g, W_f and the attention, at least 0, counted once in the mean of a batch.
      dropout: Share of the numbers of p, t and gamma set to zero in training, in [0, 1).
    """

    traits: ClassVar[Traits] = Traits(needs=("attributes",), uses=("item_features",), watched=("attention_entropy",))

    attention: Literal["additive", "dot", "user", "uniform"] = "additive"
    attention_dim: int = 0
    attention_scale: float = 0.5
    space: Literal["both", "global", "semantic"] = "both"
    regions: bool = True
    projection: Literal["shared", "own"] = "shared"
    free_items: bool = False
    cold: Literal["features", "learned"] = "features"
    l2: float = 1e-3
    feature_l2: float = 1e-4

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, attention_dim=0, attention_scale=0, feature_l2=0)

    def prepare(self, columns) -> SAERSSide:
        self.check(columns)
        if self.space == "global" and columns.item_features is None:
            raise ValueError(
                f"SAERS with space global needs item_features, which data set '{columns.name}' does not have; add them "
                "or choose space semantic"
            )
        known = np.bincount(columns.train.item, minlength=columns.num_items) > 0
        known = known if self.cold == "features" else np.ones_like(known)
        images = None if columns.item_features is None else scaled(columns.item_features)
        return SAERSSide(attribute_table(columns, self.regions), images, known.astype(np.float32), columns.num_users)

    def init(self, rng, side: SAERSSide):
        """p, t, gamma and q from `start`, b_i and b from 0, W_f and W_g from LeCun's distribution, attention from
        `attention_scale`."""
        num_items, num_attributes, width = side.attributes.features.shape
        shape, params = (side.num_users, self.dim), {}
        key = lambda number: jax.random.fold_in(rng, number)  # noqa: E731
        linear = nn.initializers.lecun_normal(batch_axis=(0,)) if self.projection == "own" else _LECUN
        if self.space != "semantic" and side.images is not None:
            params["users"] = self.initializer(key(0), shape)
            params["projection"] = _LECUN(key(1), (side.images.shape[1], self.dim))
        if self.space != "global":
            params["attribute_users"] = self.initializer(key(2), shape)
            own = (num_attributes,) if self.projection == "own" else ()
            params["attribute_projection"] = linear(key(3), (*own, width, self.dim))
            start, hidden = nn.initializers.normal(self.attention_scale), self.attention_dim or self.dim
            if self.attention == "additive":
                # `looks`, the name of W_a, is a key of checkpoints.
                shapes = {"users": (self.dim, hidden), "looks": (self.dim, hidden), "out": (hidden,)}
                drawn = {name: start(key(4 + n), shape) for n, (name, shape) in enumerate(shapes.items())}
                params["attention"] = drawn | {"bias": jnp.zeros(hidden)}
            elif self.attention == "user":
                params["attention"] = {"attributes": start(key(4), (num_attributes, self.dim))}
        if self.free_items:
            params["free_users"] = self.initializer(key(7), shape)
            params["items"] = self.initializer(key(8), (num_items, self.dim))
        return params | ({"item_bias": jnp.zeros(num_items)} if self.item_bias else {})

    def encode(self, params, side: SAERSSide) -> SAERSState:
        params, known = jax.tree.map(jnp.asarray, params), jnp.asarray(side.known)
        users, items = [jnp.zeros((side.num_users, 0))], [jnp.zeros((known.shape[0], 0))]
        if "users" in params:
            users.append(params["users"])
            items.append(saers_attention.project(side.images, params["projection"]))
        if "free_users" in params:
            users.append(params["free_users"])
            items.append(params["items"] * known[:, None])
        semantic = "attribute_users" in params
        return SAERSState(
            users=jnp.concatenate(users, axis=1),
            items=jnp.concatenate(items, axis=1),
            item_bias=params["item_bias"] * known if self.item_bias else jnp.zeros_like(known),
            attribute_users=params.get("attribute_users"),
            attribute_vectors=saers_attention.project_attributes(self, params, side) if semantic else None,
            attention=params.get("attention"),
        )

    def score(self, state: SAERSState, users, items):
        users, items = jnp.asarray(users), jnp.asarray(items)
        total = dot_scores(state, users, items) if state.users.shape[1] else state.item_bias[items]
        return total if state.attribute_vectors is None else total + saers_attention.semantic(self, state, users, items)

    def loss(self, params, side: SAERSSide, batch: Batch, rng):
        """The loss of `EmbeddingModel`, with `attention_entropy` beside the objective: of the positive items,
        divided by the entropy of uniform attention."""
        candidates = jnp.concatenate([batch.items[:, None], batch.negatives], axis=1)
        names = [name for name in USERS if name in params]
        users = jnp.concatenate([jnp.asarray(params[name])[batch.users] for name in names], axis=1)
        users = jnp.split(sample.dropout(rng, users, batch.rows, self.dropout), len(names), axis=1)
        scores, attended, looks = saers_attention.training(self, params, side, dict(zip(names, users)), candidates)
        loss = losses.objective(self.objective, scores[:, 0], scores[:, 1:], self.temperature)
        user_norms, item_norms = self.squared_norms(params)
        item_norms = item_norms + jnp.zeros(side.known.shape)  # a number where items have nothing of their own
        norms = user_norms[batch.users] + item_norms[batch.items] + jnp.mean(item_norms[batch.negatives], axis=1)
        shared = [params[name] for name in ("projection", "attribute_projection", "attention") if name in params]
        norms = self.l2 * norms + self.feature_l2 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(shared))
        even = (
            jnp.ones(scores.shape[0]) if attended is None else relative_entropy(attended.share[:, 0], looks.valid[:, 0])
        )
        added = lambda values: jnp.sum(batch.weight * values)  # noqa: E731
        metrics = {"objective": added(loss), "attention_entropy": added(jax.lax.stop_gradient(even))}
        return (added(loss + norms), jnp.sum(batch.weight)), metrics

    def squared_norms(self, params):
        """p, t and gamma of the user; q and b_i of the item."""
        squares = lambda name: jnp.sum(jnp.asarray(params[name]) ** 2, axis=1)  # noqa: E731
        users = sum(squares(name) for name in USERS if name in params)
        items = squares("items") if self.free_items else 0.0
        return users, items + (jnp.asarray(params["item_bias"]) ** 2 if self.item_bias else 0.0)

    def explain(self, state: SAERSState, side: SAERSSide, users, items):
        """Parts `global`, `semantic`, `taste` and `item_bias`; elements `attributes`. See `explain`."""
        return explain(self, state, side, users, items)


_LECUN = nn.initializers.lecun_normal()
