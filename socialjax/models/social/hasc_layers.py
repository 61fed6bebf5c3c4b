"""The data and attention networks of HASC: a bottom one over the edges of each user, a top one over three aspects.

Every first layer is linear in its inputs, so its terms are computed once for each node and only gathered over edges: an
edge costs H numbers, whatever the width of the inputs.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from scipy import sparse

from socialjax.graph import distinct, edges, normalise
from socialjax.models.history import taken_items
from socialjax.models.social.shared import link_edges
from socialjax.ops import lookup
from socialjax.ops.activations import unit
from socialjax.ops.lookup import segment_max, segment_softmax
from socialjax.ops.propagate import PHI, Diffusion, diffusion, edge_logits, propagate


@struct.dataclass
class HASCSide:
    """The fixed data of HASC; what is absent or not asked for is None.

    Attributes:
      uploads: Edges image -> its owner, mean-weighted.
      follows: Edges followee -> follower, mean-weighted.
      owner: i32[I], the owner of each image, U where it is unknown.
      past: Training items of each user by their owner.
      images: f32[I, F], image features at length 1, an input of attention.
      profiles: f32[U, Fu], g_a, an input of attention.
      social_features: f32[U, Fs], e_a, an input of attention.
      num_users: U.
      num_items: I.
    """

    uploads: Diffusion | None
    follows: Diffusion | None
    owner: jax.Array | None
    past: lookup.SparseRows | None
    images: jax.Array | None
    profiles: jax.Array | None
    social_features: jax.Array | None
    num_users: int = struct.field(pytree_node=False)
    num_items: int = struct.field(pytree_node=False)


def hasc_side(model, columns) -> HASCSide:
    """The fixed data of HASC (NumPy).

    Args:
      model: A `HASC`.
      columns: A data set with links and owners.

    Raises:
      ValueError: for content_map without item features.
    """
    if model.content_map and columns.item_features is None:
        raise ValueError(
            f"HASC with content_map needs item_features, which data set '{columns.name}' does not have; "
            "add them or use --model.no-content-map"
        )
    n, owner = columns.num_users, np.asarray(columns.owners)
    known = np.flatnonzero(owner >= 0)
    attends = model.aspects != "none" and ("att" in (model.bottom, model.top) or model.top == "max")
    reads_owners = model.aspects != "none" or model.owner_history
    visual = model.visual_inputs and attends
    images = None if columns.item_features is None else unit_rows(columns.item_features)
    taken = taken_items(columns)
    return HASCSide(
        uploads=_mean(known, owner[known], columns.num_items, n) if model.has("U") else None,
        follows=_follows(columns.links, n) if model.has("S") else None,
        owner=np.where(owner < 0, n, owner).astype(np.int32) if reads_owners else None,
        past=_past(taken, owner, known) if model.owner_history else None,
        images=images if visual or model.content_map else None,
        profiles=_profiles(columns.user_features, images, taken) if visual else None,
        social_features=_social_features(columns) if model.social_inputs and attends else None,
        num_users=n,
        num_items=columns.num_items,
    )


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Rows at length 1 f32[N, F]; rows of zeros stay."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(length, 1e-12)).astype(np.float32)


def _mean(senders, receivers, num_senders: int, num_receivers: int) -> Diffusion:
    return diffusion(normalise(edges(senders, receivers, num_senders, num_receivers), "mean"))


def _follows(links, num_users: int) -> Diffusion:
    """Distinct follows, without self links."""
    users, followees = distinct(links.follower, links.followee, num_users)
    others = users != followees
    return _mean(followees[others], users[others], num_users, num_users)


def _past(taken: sparse.csr_array, owner: np.ndarray, known: np.ndarray) -> lookup.SparseRows:
    """How many distinct training items of each user are of each owner; column U, unknown owners, is empty."""
    shape = taken.shape[1], taken.shape[0] + 1
    made_by = sparse.csr_array((np.ones(len(known), np.float32), (known, owner[known])), shape=shape)
    return lookup.sparse_rows(sparse.csr_array(taken @ made_by))


def _profiles(given: np.ndarray | None, images: np.ndarray | None, taken: sparse.csr_array) -> np.ndarray | None:
    """g_a: user features at length 1, or else the mean image of the user's training items, zeros without any."""
    if given is not None:
        return unit_rows(given)
    if images is None:
        return None
    count = np.maximum(np.diff(taken.indptr), 1).astype(np.float32)
    return ((taken @ images) / count[:, None]).astype(np.float32)


def _social_features(columns) -> np.ndarray:
    """e_a: social features of the data, or else spectral ones of the follow graph."""
    if columns.social_features is not None:
        return np.asarray(columns.social_features, np.float32)
    from socialjax.ops.graph_analysis import spectral

    return spectral(link_edges(columns, symmetric=False))


class Bottom(nn.Module):
    """softmax over the edges of each receiver of h . phi(A [receiver; sender] + c) (alpha and beta, docs/hasc.md)."""

    hidden: int
    activation: str

    @nn.compact
    def __call__(self, edges: Diffusion, receivers: list[jax.Array], senders: list[jax.Array]):
        """Weights f32[E] of the edges, from inputs f32[num_receivers, .] each and f32[num_senders, .] each."""
        kernel, bias, head = first_layer(self, receivers + senders, self.hidden, 1)
        if not edges.senders.size:  # nothing can be gathered
            return jnp.zeros(0)
        receiver_terms = projected(receivers, kernel) + bias[None, :]
        sender_terms = projected(senders, kernel[sum(part.shape[1] for part in receivers) :])
        logits = edge_logits(self.activation, edges, receiver_terms, sender_terms, head[:, 0])
        return segment_softmax(logits, edges.receivers, edges.num_receivers)


@struct.dataclass
class TopState:
    """What of the top network does not depend on the pair; where nothing is learned, all but `own` are None.

    Attributes:
      own: f32[U, 2], the scores o_a1, o_a2 of a user's uploads and followees.
      user_terms: f32[U, H], the first layer's terms of users.
      owner_terms: f32[U + 1, H], the first layer's terms of owners.
      head: f32[H], the output vector of the owner aspect.
    """

    own: jax.Array
    user_terms: jax.Array | None
    owner_terms: jax.Array | None
    head: jax.Array | None


class Top(nn.Module):
    """o_al = h_l . phi(A [z_l; a] + c): the scores of a user's aspects, of which the last depends on the owner."""

    hidden: int
    activation: str
    per_aspect_head: bool

    @nn.compact
    def __call__(self, contexts: list[jax.Array | None], users: list[jax.Array]) -> TopState:
        """The part of the network that does not depend on the pair.

        Args:
          contexts: x~ f32[U, D], q~ f32[U, D] and q of owners f32[U + 1, D], None for an aspect that is left out.
          users: Inputs of users, f32[U, .] each.
        """
        (width,) = {part.shape[1] for part in contexts if part is not None}
        kernel, bias, head = first_layer(
            self, [jnp.zeros((1, width)), *users], self.hidden, 3 if self.per_aspect_head else 1
        )
        heads = [head[:, place if self.per_aspect_head else 0] for place in range(3)]
        phi, user_terms = PHI[self.activation], projected(users, kernel[width:]) + bias[None, :]
        context_terms = [None if part is None else projected([part], kernel) for part in contexts]
        own = [
            jnp.zeros(user_terms.shape[0]) if part is None else jnp.sum(phi(user_terms + part) * h[None, :], axis=1)
            for part, h in zip(context_terms[:2], heads)
        ]
        return TopState(jnp.stack(own, axis=1), user_terms, context_terms[2], heads[2])


def first_layer(module: nn.Module, inputs: list[jax.Array], hidden: int, heads: int):
    """Kernel f32[sum of widths, H] (Glorot), bias f32[H] and head f32[H, heads] of a network with one hidden layer."""
    start = nn.initializers.xavier_uniform()
    kernel = module.param("kernel", start, (sum(part.shape[1] for part in inputs), hidden))
    return kernel, module.param("bias", nn.initializers.zeros, (hidden,)), module.param("head", start, (hidden, heads))


def projected(parts: list[jax.Array], kernel: jax.Array) -> jax.Array:
    """f32[N, H], the concatenation of parts f32[N, .] times the first rows of kernel f32[., H]."""
    first, total = 0, 0.0
    for part in parts:
        total = total + part @ kernel[first : first + part.shape[1]]
        first += part.shape[1]
    return total


def owner_logits(activation: str, top: TopState, users: jax.Array, owners: jax.Array) -> jax.Array:
    """o_a3 f32[B, C] of users i32[B] with owners i32[B, C], or i32[C] for all users alike."""
    if top.owner_terms is None:
        return jnp.zeros((users.shape[0], owners.shape[-1]))
    owner_terms = top.owner_terms[owners] if owners.ndim == 2 else top.owner_terms[owners][None]
    hidden = PHI[activation](top.user_terms[users][:, None, :] + owner_terms)
    return jnp.sum(hidden * top.head[None, None, :], axis=2)


def masked_softmax(logits: jax.Array, valid: jax.Array) -> jax.Array:
    """Softmax of logits f32[..., 3] over the valid aspects, bool[..., 3]; all 0, with gradient 0, where none is valid.

    `ops.activations.masked_softmax` in another form: with that one trained parameters differ in their last bits.
    """
    largest = jnp.max(jnp.where(valid, logits, -jnp.inf), axis=-1, keepdims=True)
    largest = jax.lax.stop_gradient(jnp.where(largest == -jnp.inf, 0.0, largest))
    exponentials = jnp.where(valid, jnp.exp(jnp.where(valid, logits - largest, 0.0)), 0.0)
    return exponentials / jnp.maximum(jnp.sum(exponentials, axis=-1, keepdims=True), 1e-30)


def hard(soft: jax.Array) -> jax.Array:
    """Straight-through maximum: 1 for the first largest of f32[..., 3], with the gradient of the shares; zeros stay."""
    first = jnp.argmax(soft, axis=-1)[..., None] == jax.lax.broadcasted_iota(jnp.int32, soft.shape, soft.ndim - 1)
    return soft + jax.lax.stop_gradient(jnp.where(first & (soft > 0), 1.0, 0.0) - soft)


class HASCLayers(nn.Module):
    """The fields of `HASCState`, by name.

    Attributes:
      settings: A `HASC`.
      num_users: U.
      num_items: I.
    """

    settings: Any
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: HASCSide) -> dict:
        settings = self.settings
        p, w, b = settings.tables(self.num_users, self.num_items, name="tables")()
        q = x = content = None
        if settings.content_map:
            content = self._map("content", side.images)
            w = w + content
        if settings.aspects != "none":
            q = self.param("followees", settings.initializer, (self.num_users, settings.dim))
        if settings.has("U"):
            x = self.param("uploads", settings.initializer, (self.num_items, settings.dim))
            x = x if content is None else x + content
        uploads = friends = owners = alpha = beta = None
        if settings.has("U"):
            inputs = ([p, q], [x, w])
            if settings.bottom == "att":
                of_users, of_images = self._visual("upload", side)
                inputs = [*inputs[0], *of_users], [*inputs[1], *of_images]
            uploads, alpha = self._pooled("upload", side.uploads, x, *inputs)
        if settings.has("S"):
            inputs = [p, q]
            if settings.bottom == "att":
                inputs = [
                    *inputs,
                    *self._profiles("social", side),
                    *([] if side.social_features is None else [side.social_features]),
                ]
            friends, beta = self._pooled("social", side.follows, q, inputs, inputs)
        if settings.has("C"):
            owners = jnp.concatenate([unit(q) if settings.normalise_aspects else q, jnp.zeros((1, settings.dim))])
        has_elements = [_has_edges(edges, self.num_users) for edges in (side.uploads, side.follows)]
        return {
            "users": p,
            "items": w,
            "item_bias": b,
            "owner": None if side.owner is None else jnp.asarray(side.owner),
            "uploads": uploads,
            "friends": friends,
            "owners": owners,
            "has_elements": jnp.stack(has_elements, axis=1),
            "top": self._top(side, p, q, [uploads, friends, owners]),
            "alpha": alpha,
            "beta": beta,
            "messages": (x, q if settings.has("S") else None),
            "past": side.past,
            "past_weight": self.param("past_owner", nn.initializers.ones, ()) if settings.owner_history else None,
        }

    def _pooled(self, name: str, edges: Diffusion, messages, receivers, senders):
        """The weighted sum of messages f32[N, D] over the edges of each user f32[U, D], and the weights f32[E]."""
        settings = self.settings
        weight = None
        if settings.bottom == "att":
            weight = Bottom(settings.hidden, settings.activation, name=f"{name}_attention")(edges, receivers, senders)
            pooled = propagate(edges, messages, weight)
        elif settings.bottom == "avg":
            weight, pooled = edges.weight, propagate(edges, messages)
        elif edges.senders.size:
            pooled = segment_max(messages[edges.senders], edges.receivers, edges.num_receivers)
        else:
            pooled = jnp.zeros((edges.num_receivers, messages.shape[1]))
        return unit(pooled) if settings.normalise_aspects else pooled, weight

    def _top(self, side: HASCSide, p, q, contexts) -> TopState:
        settings = self.settings
        if settings.top == "avg" or len(settings.aspects) == 1 or settings.aspects == "none":
            return TopState(jnp.zeros((self.num_users, 2)), None, None, None)
        inputs = [p, q, *self._profiles("aspect", side)]
        if side.social_features is not None:
            inputs.append(self._map("aspect_places", side.social_features))
        return Top(settings.hidden, settings.activation, settings.per_aspect_head, name="aspect_attention")(
            contexts, inputs
        )

    def _visual(self, name: str, side: HASCSide):
        """V g of the users and V f of the images, with one V where both have one width: lists of one, or empty."""
        g, f = (side.profiles, side.images) if self.settings.visual_inputs else (None, None)
        if g is None or f is None or g.shape[1] != f.shape[1]:
            return [
                [] if part is None else [self._map(f"{name}_{what}", part)]
                for what, part in (("profiles", g), ("images", f))
            ]
        kernel = self._kernel(f"{name}_visual", g.shape[1])
        return [g @ kernel], [f @ kernel]

    def _profiles(self, name: str, side: HASCSide) -> list[jax.Array]:
        return [] if side.profiles is None else [self._map(f"{name}_profiles", side.profiles)]

    def _map(self, name: str, features) -> jax.Array:
        """features f32[N, F] -> f32[N, D], linear without bias."""
        return features @ self._kernel(name, features.shape[1])

    def _kernel(self, name: str, width: int) -> jax.Array:
        return self.param(name, nn.initializers.xavier_uniform(), (width, self.settings.dim))


def _has_edges(edges: Diffusion | None, num_users: int) -> jax.Array:
    """bool[U]: who has an edge."""
    if edges is None or not edges.receivers.size:
        return jnp.zeros(num_users, bool)
    return jnp.zeros(num_users, bool).at[edges.receivers].set(True, mode="drop")
