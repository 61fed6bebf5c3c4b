"""GC-MC: one layer of graph convolution between users and items (van den Berg, Kipf, Welling, arXiv 1706.02263).

The original predicts ratings. Here there is one kind of rating, an interaction: one channel of messages, a ranking loss
and no softmax over ratings, which would be constant. Nodes are one-hot ids there, so the weights of its graph layer are
the tables of free embeddings here, without embeddings before them.
"""

import dataclasses
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Choice, LogUniform, Traits, Uniform
from socialjax.models.history import Bipartite, aggregate, bipartite, elements
from socialjax.models.parts import DotProductModel, Factors, pair_dot, require_at_least, require_share
from socialjax.ops import sample
from socialjax.ops.activations import ACTIVATIONS


@struct.dataclass
class GCMCSide:
    """The graph and the features.

    Attributes:
      graph: Users and items, edges weighted by 1 / c.
      user_features: f32[U, F] or None.
      item_features: f32[I, G] or None.
    """

    graph: Bipartite
    user_features: jax.Array | None
    item_features: jax.Array | None


@struct.dataclass
class GCMCState(Factors):
    """Factors, and what the users' are computed from.

    Attributes:
      aggregated: f32[U, D], the aggregated messages of items, before the activation.
      messages: f32[I, D], these messages, the items' table.
      kernel: f32[D, D], W_2 Q.
      feature_part: f32[U, D], what features add to the users' vectors, or None.
    """

    aggregated: jax.Array
    messages: jax.Array
    kernel: jax.Array
    feature_part: jax.Array | None


@dataclasses.dataclass(frozen=True)
class GCMC(DotProductModel):
    """h_a = act(sum of q_i / c_ai over R_a), h_i = act(sum of p_a / c_ai over R_i); u = W_2 h; s = u_a Q v_i + b_i.

    As in the authors' code, W_2 serves users and items and the dense layer is linear (van den Berg, Kipf, Welling,
    arXiv 1706.02263, 2017, Eq. 1-4 and 10). There is no self loop: a user without training items has h = 0, and scores
    that are the item bias unless there are features. docs/tables.md says how it is compared.

    Attributes:
      norm: c, the normalisation of messages: |R_a| for a user and |R_i| for an item (left), or sqrt(|R_a| |R_i|)
        (symmetric).
      activation: act, the activation of the graph layer and of the hidden layer over features.
      decoder: bilinear with a learned Q, or dot for Q = 1.
      node_dropout: Share of users and items whose messages are dropped in a training step, in [0, 1); the others' are
        scaled up.
      use_features: Whether features enter where the data has them, as u = W_2 h + W_f act(W_x x + c) with weights of
        each side's own (Eq. 10).
      feature_dim: Hidden width of the layer over features, at least 1; 10 in the authors' code.
      vector_l2: Lambda on the squared lengths of the scored vectors u_a Q and v_i, counted as l2 counts those of the
        tables. Nothing else bounds what the layers and features add, and a scored pair is among the edges it is scored
        by, so the model memorises pairs. With it, a low l2 and a wide start, NDCG@10 on Last.fm (softmax, 8
        negatives, validation) is 0.225; without it 0.206.
      l2: Lambda on the squared norms of the tables of the graph layer and of the item bias. Low, for vector_l2 bounds
        what is scored.
      init_std: Standard deviation of the tables of the graph layer when start is normal; wide, see vector_l2.
    """

    traits: ClassVar[Traits] = Traits(uses=("user_features", "item_features"), new_users=True)
    search_space: ClassVar = {
        "activation": Choice(("identity", "relu")),
        "node_dropout": Uniform(0.0, 0.4),
        "vector_l2": LogUniform(0.001, 0.1),
        "init_std": LogUniform(0.01, 0.3),
    }

    norm: Literal["left", "symmetric"] = "symmetric"
    activation: Literal["identity", "relu", "leaky_relu", "tanh"] = "relu"
    decoder: Literal["dot", "bilinear"] = "bilinear"
    node_dropout: float = 0.1
    use_features: bool = True
    feature_dim: int = 10
    vector_l2: float = 0.02
    l2: float = 0.001
    init_std: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        require_share(self, "node_dropout")
        require_at_least(self, feature_dim=1, vector_l2=0)

    def prepare(self, columns) -> GCMCSide:
        features = (columns.user_features, columns.item_features) if self.use_features else (None, None)
        return GCMCSide(bipartite(columns, "mean" if self.norm == "left" else "symmetric"), *features)

    def _layers(self, side: GCMCSide) -> "GCMCLayers":
        return GCMCLayers(self, side.graph.num_users, side.graph.num_items)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def encode(self, params, side) -> GCMCState:
        return self._layers(side).apply({"params": params}, side)

    def training_state(self, params, side, rng):
        return self._layers(side).apply({"params": params}, side, rng)

    def squared_norms(self, params):
        """The tables of the graph layer and the item bias."""
        return self.table_norms(params["tables"])

    def penalty(self, params, side, state: GCMCState, batch, rng):
        """vector_l2 (|u_a Q|^2 + |v_i|^2 + mean of |v_j|^2 over the negatives): f32[B]."""
        if not self.vector_l2:
            return None
        users, items = (jnp.sum(vectors**2, axis=1) for vectors in (state.users, state.items))
        return self.vector_l2 * (users[batch.users] + items[batch.items] + jnp.mean(items[batch.negatives], axis=1))

    def explain(self, state: GCMCState, side: GCMCSide, users, items):
        """Parts `history` with what each item in it adds, `features` where users have them, and `item_bias`.

        An item's share is gradient times input, which adds up to the part for activations that are linear on either
        side of 0; for tanh it is an estimate.
        """
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        towards, aggregated = np.asarray(state.items)[items], np.asarray(state.aggregated)[users]
        activated, vjp = jax.vjp(ACTIVATIONS[self.activation], jnp.asarray(aggregated))
        towards_hidden = towards @ np.asarray(state.kernel).T
        parts = {"history": pair_dot(np.asarray(activated), towards_hidden)}
        if state.feature_part is not None:
            parts["features"] = pair_dot(np.asarray(state.feature_part)[users], towards)
        (slope,) = vjp(jnp.asarray(towards_hidden))
        taken = elements(side.graph.to_users, np.asarray(state.messages), users, np.asarray(slope))
        taken = dataclasses.replace(taken, exact=self.activation != "tanh")
        return self.explained(state, users, items, parts, {"history": taken})

    def new_user(self, state: GCMCState, side: GCMCSide, items, friends):
        """The layers over the user's items; the unknown features add what they add to others on average."""
        degree = np.asarray(side.graph.item_degree)[items][:, None]
        weight = 1.0 if self.norm == "left" else (max(len(items), 1) / np.maximum(degree, 1)) ** 0.5
        aggregated = (weight * np.asarray(state.messages)[items]).sum(axis=0) / max(len(items), 1)
        vector = np.asarray(ACTIVATIONS[self.activation](aggregated)) @ np.asarray(state.kernel)
        if state.feature_part is not None:
            vector = vector + np.asarray(state.feature_part).mean(axis=0)
        return vector.astype(np.float32)


class GCMCLayers(nn.Module):
    """Graph layer, dense layer, and the decoder's Q, which is folded into the users' side."""

    settings: GCMC
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: GCMCSide, rng=None) -> GCMCState:
        """rng: key of the node dropout, in training."""
        settings = self.settings
        users, items, bias = settings.tables(self.num_users, self.num_items, name="tables")()
        if rng is not None:
            nodes = sample.node_dropout(rng, 0, jnp.concatenate([users, items]), settings.node_dropout)
            users, items = nodes[: self.num_users], nodes[self.num_users :]
        act = ACTIVATIONS[settings.activation]
        square = lambda name: self.param(name, nn.initializers.orthogonal(), (settings.dim, settings.dim))  # noqa: E731
        dense = square("dense")
        decoder = square("decoder") if settings.decoder == "bilinear" else jnp.eye(settings.dim)
        to_users, to_items = aggregate(side.graph, users, items)

        def featured(features, name):
            if features is None:
                return None
            hidden = act(nn.Dense(settings.feature_dim, name=f"{name}_features")(features))
            return nn.Dense(settings.dim, use_bias=False, name=f"{name}_mix")(hidden)

        user_part, item_part = featured(side.user_features, "user"), featured(side.item_features, "item")
        user_part = None if user_part is None else user_part @ decoder
        kernel = dense @ decoder
        vectors = act(to_users) @ kernel
        towards = act(to_items) @ dense
        return GCMCState(
            users=vectors if user_part is None else vectors + user_part,
            items=towards if item_part is None else towards + item_part,
            item_bias=bias,
            aggregated=to_users,
            messages=items,
            kernel=kernel,
            feature_part=user_part,
        )
