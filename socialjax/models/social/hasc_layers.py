"""The tables and networks of HASC, and the contexts they make once for all users."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from socialjax.models.social.hasc_attention import Bottom, Top, TopState
from socialjax.models.social.hasc_side import HASCSide
from socialjax.ops.propagate import Diffusion, propagate
from socialjax.ops.segment import segment_max
from socialjax.ops.unit import unit


class HASCLayers(nn.Module):
    """settings: a `HASC`. -> the fields of its state."""

    settings: Any
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: HASCSide) -> dict:
        of = self.settings
        p, w, b = of.tables(self.num_users, self.num_items, name="tables")()
        q = x = content = None
        if of.content_map:
            content = self._map("content", side.images)
            w = w + content
        if of.aspects != "none":
            q = self.param("followees", of.initializer, (self.num_users, of.dim))
        if of.has("U"):
            x = self.param("uploads", of.initializer, (self.num_items, of.dim))
            x = x if content is None else x + content
        uploads = friends = owners = alpha = beta = None
        if of.has("U"):
            inputs = ([p, q], [x, w])
            if of.bottom == "att":
                of_users, of_images = self._visual("upload", side)
                inputs = [*inputs[0], *of_users], [*inputs[1], *of_images]
            uploads, alpha = self._pooled("upload", side.uploads, x, *inputs)
        if of.has("S"):
            inputs = [p, q]
            if of.bottom == "att":
                inputs = [*inputs, *self._profiles("social", side), *([] if side.places is None else [side.places])]
            friends, beta = self._pooled("social", side.follows, q, inputs, inputs)
        if of.has("C"):
            owners = jnp.concatenate([unit(q) if of.normalise_aspects else q, jnp.zeros((1, of.dim))])
        there = [_heard(edges, self.num_users) for edges in (side.uploads, side.follows)]
        return {
            "users": p,
            "items": w,
            "item_bias": b,
            "owner": None if side.owner is None else jnp.asarray(side.owner),
            "uploads": uploads,
            "friends": friends,
            "owners": owners,
            "there": jnp.stack(there, axis=1),
            "top": self._top(side, p, q, [uploads, friends, owners]),
            "alpha": alpha,
            "beta": beta,
            "said": (x, q if of.has("S") else None),
            "past": side.past,
            "past_weight": self.param("past_owner", nn.initializers.ones, ()) if of.owner_history else None,
        }

    def _pooled(self, name: str, edges: Diffusion, said, receivers, senders):
        """The weighted sum of said f32[N, D] over the edges of each user f32[U, D], and the weights f32[E]."""
        of = self.settings
        weight = None
        if of.bottom == "att":
            weight = Bottom(of.hidden, of.activation, name=f"{name}_attention")(edges, receivers, senders)
            heard = propagate(edges, said, weight)
        elif of.bottom == "avg":
            weight, heard = edges.weight, propagate(edges, said)
        elif edges.senders.size:
            heard = segment_max(said[edges.senders], edges.receivers, edges.num_receivers)
        else:
            heard = jnp.zeros((edges.num_receivers, said.shape[1]))
        return unit(heard) if of.normalise_aspects else heard, weight

    def _top(self, side: HASCSide, p, q, contexts) -> TopState:
        of = self.settings
        if of.top == "avg" or len(of.aspects) == 1 or of.aspects == "none":
            return TopState(jnp.zeros((self.num_users, 2)), None, None, None)
        told = [p, q, *self._profiles("aspect", side)]
        if side.places is not None:
            told.append(self._map("aspect_places", side.places))
        return Top(of.hidden, of.activation, of.per_aspect_head, name="aspect_attention")(contexts, told)

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


def _heard(edges: Diffusion | None, num_users: int) -> jax.Array:
    """bool[U]: who has an edge."""
    if edges is None or not edges.receivers.size:
        return jnp.zeros(num_users, bool)
    return jnp.zeros(num_users, bool).at[edges.receivers].set(True, mode="drop")
