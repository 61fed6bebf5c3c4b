"""DiffNet: user embeddings diffuse over the social graph (Wu, Sun, Fu, Hong, Wang, Wang, SIGIR 2019, arXiv 1904.10322).

Two forms. `paper`: fusion layers over [feature, free embedding] and a layer with weights in each step of diffusion
(Eq. 1-6). `released`: what the authors' code does: features are added after a shared layer and diffusion is a plain
mean. The code sums the layers that the paper drops, so `layers` is a field of its own.

Explanations and the embedding of an untrained user are computed on the host. The released form is a sum: layer k is
A_S^k H0, so a friend's share is an entry of A_S^k times <h0_b, v_i>, and with max pooling each number of a layer comes
from one friend; both are exact. The paper's form has weights and activations between the layers; there a user's share
is gradient times input, which is a first-order estimate.
"""

import dataclasses
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from scipy import sparse

from socialjax.contract import Batch, Choice, Explanation, Kind, Ragged, Touched, Traits
from socialjax.models.history import History, elements, history, pool, without_target
from socialjax.models.neighbourhoods import Growth, drawn_history
from socialjax.models.parts import DotProductModel, Factors, named_rows, pair_dot, require_depth, weight_penalty
from socialjax.models.social.shared import (
    FEATURE_LAYERS,
    check_scale_and_penalties,
    features_for,
    friends,
    released_parts,
)
from socialjax.ops.activations import ACTIVATIONS
from socialjax.ops.forest import Neighbours
from socialjax.ops.lookup import segment_max
from socialjax.ops.propagate import Diffusion, propagate

# Name -> (the function, its slope from its value).
NUMPY_ACTIVATIONS = {
    "identity": (lambda x: x, lambda y: np.ones_like(y)),
    "relu": (lambda x: np.maximum(x, 0), lambda y: (y > 0).astype(y.dtype)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y**2),
}


def explain(model, state, side, users, items) -> Explanation:
    """Parts: `own_vector` (H0, where it is summed), one for each chosen layer, `history`, `item_bias`.

    The layers of the released form are `friends_1`, `friends_2`, ...: users reached in so many steps, among them the
    user, who is a friend of friends. Those of the paper's form are `diffusion_1`, ...: they mix the user's own vector
    with friends'. Elements: the users behind each layer and the items behind `history`, with the weight in the mean,
    the entry of A_S^k, the share of numbers that won the maximum, or (paper) the share of the gradient's length.
    """
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    layers, towards = np.asarray(state.layers), np.asarray(state.items)[items]
    social = _social_matrix(side.social)
    parts, elements_by_part = {}, {}
    for k in _chosen_layers(model):
        name = "own_vector" if k == 0 else f"{'friends' if model.variant == 'released' else 'diffusion'}_{k}"
        parts[name] = pair_dot(layers[k][users], towards)
        if k:
            label = f"friends at distance {k}" if model.variant == "released" else f"diffusion layer {k}"
            exact = model.variant == "released"
            layer_elements = _layer_elements(model, state, layers, social, users, towards, k)
            elements_by_part[name] = Ragged(*layer_elements, Kind(("user",), label), exact=exact)
    parts["history"] = pair_dot(np.asarray(state.pooled)[users], towards)
    elements_by_part["history"] = elements(side.past.edges, np.asarray(state.items), users, towards)
    return model.explained(state, users, items, parts, elements_by_part)


def new_user(model, state, side, items, friends) -> np.ndarray:
    """Embedding f32[D] of an untrained user: layers from the friends' layers, history from the items.

    h0 is 0, to which regularisation pulls a user without data; the mean of all users' would only repeat what is
    popular, which the item bias has already. In the paper's form with user features h0 = 0 is far from any trained
    user, so h0 is the mean of H0.
    """
    layers = np.asarray(state.layers)
    own = [np.zeros(layers.shape[2], np.float32)]
    if model.variant == "paper" and side.user_features is not None:
        own = [layers[0].mean(axis=0)]
    for k in range(model.depth):
        near = layers[k][friends]
        aggregated = np.zeros_like(own[0])
        if len(friends):
            aggregated = near.mean(axis=0) if model.pooling == "mean" else near.max(axis=0)
        if model.variant == "paper":
            kernel, bias = (np.asarray(array) for array in state.steps[k])
            aggregated = NUMPY_ACTIVATIONS[model.activation][0](np.concatenate([aggregated, own[-1]]) @ kernel + bias)
        own.append(aggregated)
    taken = np.asarray(state.items)[items]
    pooled = taken.mean(axis=0) if len(items) else np.zeros_like(own[0])
    return (sum(own[k] for k in _chosen_layers(model)) + pooled).astype(np.float32)


def _chosen_layers(model) -> list[int]:
    """The layers that are summed into the user's vector."""
    every = list(range(model.depth + 1))
    return {"last": every[-1:], "all_but_0": every[1:] or every, "all": every}[model.layers]


def _social_matrix(social) -> sparse.csr_array:
    """A_S f32[U, U]: row a weighs the friends of a."""
    size, receivers = social.num_receivers, np.asarray(social.receivers)
    offsets = np.searchsorted(receivers, np.arange(size + 1))
    senders, weight = (np.asarray(array)[: offsets[-1]] for array in (social.senders, social.weight))
    return sparse.csr_array((weight, senders, offsets), shape=(size, size))


def _layer_elements(model, state, layers, social, users, towards, k) -> tuple[np.ndarray, ...]:
    """The users whose H0 enters layer k of each pair's user, and what each adds to <h_k, v_i>.

    Returns:
      Offsets i64[P + 1], ids i32[T], weight f32[T] and contribution f32[T].
    """
    if model.variant == "released" and model.pooling == "mean":
        rows = social[users]
        for _ in range(k - 1):
            rows = rows @ social
        rows.sort_indices()
        ids, weight = rows.indices.astype(np.int32), rows.data.astype(np.float32)
        pair = np.repeat(np.arange(len(users)), np.diff(rows.indptr))
        return rows.indptr.astype(np.int64), ids, weight, weight * pair_dot(layers[0][ids], towards[pair])
    rows = [_gradient_elements(model, state, layers, social, user, v, k) for user, v in zip(users, towards)]
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids, _, _ in rows])]).astype(np.int64)
    columns = [np.concatenate([column, *found]) for column, found in zip(([], [], []), zip(*rows))]
    return offsets, columns[0].astype(np.int32), columns[1].astype(np.float32), columns[2].astype(np.float32)


def _gradient_elements(model, state, layers, social, user, towards, k):
    """Ids, weights and contributions of the users whose H0 enters layer k of one user, by that layer's gradient."""
    if model.variant == "released":  # the gradient is the same for every v, number by number
        ids, gradient = _gradient(model, state, layers, social, user, np.ones(len(towards)), k)
        weight, gradient = gradient.mean(axis=1), gradient * towards
    else:
        ids, gradient = _gradient(model, state, layers, social, user, towards.astype(np.float64), k)
        weight = np.linalg.norm(gradient, axis=1)
        weight = weight / max(weight.sum(), 1e-30)
    contributes = np.abs(gradient).max(axis=1) > 0  # with max pooling most friends win nothing
    return ids[contributes], weight[contributes], pair_dot(layers[0][ids], gradient)[contributes]


def _gradient(model, state, layers, social, user, start, k):
    """d <h_k of the user, start> / d H0: the users i64[N] with a gradient, and the gradient f64[N, D] of each."""
    ids, gradient = np.array([user]), start[None, :]
    for step in range(k, 0, -1):
        own = np.zeros_like(gradient)
        if model.variant == "paper":
            gradient = gradient * NUMPY_ACTIVATIONS[model.activation][1](layers[step][ids])
            gradient, own = np.split(gradient @ np.asarray(state.steps[step - 1][0]).T, 2, axis=1)
        rows = social[ids]
        row = np.repeat(np.arange(len(ids)), np.diff(rows.indptr))
        share = rows.data[:, None]
        if model.pooling == "max":
            share = _max_shares(layers[step - 1][rows.indices], row, len(ids))
        reached = np.concatenate([rows.indices, ids])
        ids, position = np.unique(reached, return_inverse=True)
        back = np.zeros((len(ids), gradient.shape[1]))
        np.add.at(back, position, np.concatenate([share * gradient[row], own]))
        gradient = back
    return ids, gradient


def _max_shares(values: np.ndarray, row: np.ndarray, num_rows: int) -> np.ndarray:
    """Each friend's share in the maximum of its row, of values f32[E, D] in rows i64[E]: f64[E, D]; ties share."""
    top = np.full((num_rows, values.shape[1]), -np.inf, np.float32)
    np.maximum.at(top, row, values)
    is_max = (values == top[row]).astype(np.float64)
    ties = np.zeros(top.shape)
    np.add.at(ties, row, is_max)
    return is_max / ties[row]


@struct.dataclass
class DiffNetSide:
    """The social graph, histories and features.

    Attributes:
      social: Edges friend -> user, mean-weighted.
      past: Edges item -> user.
      user_features: f32[U, F] or None.
      item_features: f32[I, G] or None.
      cold: bool[I], the items without training pairs where `cold_bias` takes effect, else None.
    """

    social: Diffusion
    past: History
    user_features: jax.Array | None
    item_features: jax.Array | None
    cold: jax.Array | None = None


@struct.dataclass
class DiffNetState(Factors):
    """Factors, and what the users' are computed from.

    Attributes:
      layers: f32[K + 1, U, D], H0..HK.
      pooled: f32[U, D], the mean over the history.
      steps: Kernel f32[2D, D] and bias f32[D] of each layer in the variant paper, Eq. 4; empty in released.
    """

    layers: jax.Array
    pooled: jax.Array
    steps: tuple = ()


@dataclasses.dataclass(frozen=True)
class DiffNet(DotProductModel):
    """u_a = sum of the chosen layers of h_a + mean of v_i over R_a; s = <u_a, v_i> (+ b_i).

    Wu et al., SIGIR 2019, Eq. 1-6; docs/diffnet.md has the equations, what the authors' code does otherwise, and where
    this implementation differs from both.

    Training and evaluation differ with exclude_target, since evaluation always pools the whole history, and with
    cold_bias, which training does not know.

    Attributes:
      depth: K, steps of diffusion over the social graph, 0..8; 0 leaves a form of SVD++.
      variant: paper (Eq. 1-6) or released (the authors' code), see `docs/diffnet.md`.
      layers: Which of H0..HK enter u_a: last (the paper), all_but_0 (the released code) or all; depth 0 keeps H0.
      pooling: Aggregation of the friends, mean or max.
      activation: g, sigma and s of Eq. 1, 2 and 4, in the variant paper only.
      symmetric: Whether links count in both directions, as in the authors' loader.
      use_features: Whether user and item features are used where the data has them.
      feature_scale: Standard deviation, above 0, to which all numbers of a feature table are brought, and in released
        those that are added to the free embeddings too, which therefore neither grow nor shrink. The authors' 0.2
        drowns free embeddings that L2 keeps small.
      feature_l2: Lambda on the squared norm of the weights of the feature layers: the shared one in released, the
        fusion layers in paper.
      layer_l2: Lambda on the squared norm of the weights W^k of Eq. 4, in the variant paper only.
      exclude_target: Whether the training item is left out of the history that scores it; the authors keep it in.
      cold_bias: Not in either variant: where there are item features, items without training pairs are evaluated by
        these alone, with q_i = 0 and this item bias. None keeps their q_i and b_i, which training sees as negatives
        only, so that it hides them from everybody. To be chosen on validation.
    """

    traits: ClassVar[Traits] = Traits(needs=("links",), uses=("user_features", "item_features"), new_users=True)
    search_space: ClassVar = {
        "depth": Choice((1, 2, 3)),
        "layers": Choice(("all", "all_but_0")),
        "exclude_target": Choice((True, False)),
    }

    depth: int = 2
    variant: Literal["paper", "released"] = "released"
    layers: Literal["last", "all_but_0", "all"] = "all_but_0"
    pooling: Literal["mean", "max"] = "mean"
    activation: Literal["identity", "relu", "sigmoid", "tanh"] = "relu"
    symmetric: bool = True
    use_features: bool = True
    feature_scale: float = 0.05
    feature_l2: float = 0.0
    layer_l2: float = 0.0
    exclude_target: bool = False
    cold_bias: float | None = None

    def __post_init__(self):
        super().__post_init__()
        require_depth(self)
        check_scale_and_penalties(self)
        if self.cold_bias is not None and not self.item_bias:
            raise ValueError("cold_bias stands in for an item bias, got item_bias False; leave one of the two alone")

    def prepare(self, columns) -> DiffNetSide:
        self.check(columns)
        links = friends(columns, self.symmetric)
        features = features_for(self, columns)
        cold = None
        if self.cold_bias is not None and features[1] is not None:
            cold = np.bincount(columns.train.item, minlength=columns.num_items) == 0
        return DiffNetSide(links, history(columns), *features, cold)

    def _layers(self, side: DiffNetSide) -> "DiffNetLayers":
        return DiffNetLayers(self, side.social.num_receivers, side.past.edges.num_senders)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def touched(self, side: DiffNetSide, batch: Batch, rng) -> Touched | None:
        if not isinstance(side.social, Neighbours):
            return None
        if self.variant == "released" and (side.user_features is not None or side.item_features is not None):
            raise ValueError(
                "variant 'released' standardises features over all users and items, which sampled neighbourhoods do "
                "not hold; use --model.variant paper or --model.no-use-features"
            )
        if self.pooling != "mean":
            raise ValueError("the maximum over some friends is not that over all: sampling needs --model.pooling mean")
        growth = Growth(batch, rng)
        reached = growth.users
        for step in range(self.depth):
            reached = growth.draw("social", side.social, reached, step, "users")
        past = drawn_history(growth, side.past, self.exclude_target)()
        users, items = growth.rows
        features = (
            None if table is None else table.at[rows].get(mode="clip")
            for table, rows in ((side.user_features, users), (side.item_features, items))
        )
        drawn = DiffNetSide(growth.edges("social", "users", "users"), past, *features)
        return Touched(named_rows(users, items, self.item_bias, ("tables",)), drawn, growth.numbered)

    def encode(self, params, side) -> DiffNetState:
        if side.cold is not None:
            tables = params["tables"]
            items = jnp.where(side.cold[:, None], 0.0, tables["items"])
            bias = jnp.where(side.cold, self.cold_bias, tables["item_bias"])
            params = {**params, "tables": {**tables, "items": items, "item_bias": bias}}
        return self.training_state(params, side, None)

    def training_state(self, params, side, rng) -> DiffNetState:
        return self._layers(side).apply({"params": params}, side)

    def squared_norms(self, params):
        """Theta_1 of the paper's Eq. 13, the free embeddings P and Q, and the item bias."""
        return self.table_norms(params["tables"])

    def penalty(self, params, side, state, batch: Batch, rng):
        """feature_l2 and layer_l2 times the squared norms of their layers' weights: f32[B], or None for none."""
        strengths = dict.fromkeys(FEATURE_LAYERS, self.feature_l2)
        strengths |= {f"diffusion_{k}": self.layer_l2 for k in range(self.depth)}
        return weight_penalty(params, strengths, batch)

    def training_users(self, params, side, state: DiffNetState, batch: Batch):
        users = batch.of_users(state.users)
        if not self.exclude_target:
            return users
        return users + without_target(side.past, state.pooled, state.items, batch.users, batch.items)

    def explain(self, state: DiffNetState, side: DiffNetSide, users, items):
        return explain(self, state, side, users, items)

    def new_user(self, state: DiffNetState, side: DiffNetSide, items, friends):
        return new_user(self, state, side, items, friends)


class DiffNetLayers(nn.Module):
    """Equations 1 to 5."""

    settings: DiffNet
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: DiffNetSide) -> DiffNetState:
        settings = self.settings
        users, items, bias = settings.tables(self.num_users, self.num_items, name="tables")()
        users, items = self.fuse(users, items, side)
        layers, steps = [users], []
        for k in range(settings.depth):
            aggregated = self.aggregate(layers[-1], side.social)
            if settings.variant == "paper":
                both = jnp.concatenate([aggregated, layers[-1]], axis=1)
                step = nn.Dense(settings.dim, name=f"diffusion_{k}")
                aggregated = ACTIVATIONS[settings.activation](step(both))
                steps.append((step.variables["params"]["kernel"], step.variables["params"]["bias"]))
            layers.append(aggregated)
        pooled = pool(side.past, items)
        chosen = {"last": layers[-1:], "all_but_0": layers[1:] or layers, "all": layers}[settings.layers]
        return DiffNetState(sum(chosen) + pooled, items, bias, jnp.stack(layers), pooled, tuple(steps))

    def fuse(self, users, items, side: DiffNetSide):
        """Free embeddings and features; without features the branch is absent: H0 = P, V = Q."""
        settings = self.settings
        if settings.variant == "paper":
            act = ACTIVATIONS[settings.activation]
            if side.user_features is not None:
                users = act(
                    nn.Dense(settings.dim, name="fuse_users")(jnp.concatenate([side.user_features, users], axis=1))
                )
            if side.item_features is not None:
                items = act(
                    nn.Dense(settings.dim, name="fuse_items")(jnp.concatenate([items, side.item_features], axis=1))
                )
            return users, items
        x, y = released_parts(settings, side)
        return users if x is None else users + x, items if y is None else items + y

    def aggregate(self, users, social: Diffusion):
        """Eq. 3: friends pooled; 0 for a user without friends."""
        if self.settings.pooling == "mean":
            return propagate(social, users)
        return segment_max(users[social.senders], social.receivers, social.num_receivers)
