"""What an item looks like to a user: frames pooled by attention, and the two spaces joined (JIFR, docs/jifr.md)."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp


class Perceptron(nn.Module):
    """out . relu(sum over inputs x of A_x x + a), one hidden layer over several vectors; `bias` adds to the output."""

    hidden: int
    bias: bool

    @nn.compact
    def __call__(self, **inputs):
        """Named f32[..., D] whose leading axes fit each other -> f32[...]."""
        parts = [nn.Dense(self.hidden, use_bias=not n, name=name)(x) for n, (name, x) in enumerate(inputs.items())]
        return nn.Dense(1, use_bias=self.bias, name="out")(nn.relu(sum(parts)))[..., 0]


class Vectors(NamedTuple):
    """Of the users u f32[., D] and w f32[., D2], of the items v f32[., D] and, of models that have it, the residual
    f32[., D2]; users and items have the leading axes that `of_user` and `of_item` of a group take."""

    u: jax.Array
    w: jax.Array
    v: jax.Array
    residual: jax.Array | None


class Parts(NamedTuple):
    """Of each pair: taste g c_ai, frames (1 - g) h_ai and residual (1 - g) <w_a, eps_i>; of each frame share, alpha,
    and preference, l. With the fusion `add` there is no g and nothing is weighted."""

    taste: jax.Array
    frames: jax.Array
    residual: jax.Array | None
    share: jax.Array
    preference: jax.Array
    visual_weight: jax.Array

    def sum(self) -> jax.Array:
        total = self.taste + self.frames
        return total if self.residual is None else total + self.residual


def sharpness(log_t: jax.Array) -> jax.Array:
    """t = exp(log t), in [0.1, 20]."""
    return jnp.clip(jnp.exp(log_t), 0.1, 20.0)


def attention_shares(model, state, group, preference, frames, vectors: Vectors) -> jax.Array:
    """alpha of each frame: softmax over the item's frames of t s, all alike (`mean`), or 1 for the best (`max`).

    frames: y, f32[..., D2], which the attention `mlp` needs.
    """
    if model.pool == "mean":
        return group.softmax(jnp.zeros_like(preference))
    if model.pool == "max":
        best = group.best(preference).astype(jnp.float32)
        return best / jnp.maximum(group.of_item(group.sum(best)), 1.0)
    score = preference
    if model.attn == "mlp":
        score = Perceptron(model.attention_dim, bias=False).apply(
            {"params": state.attention},
            visual_users=group.of_user(vectors.w),
            users=group.of_user(vectors.u),
            frames=frames,
            items=group.of_item(vectors.v),
        )
    return group.softmax(state.t * score)


def score_parts(model, state, group, preference, frames, vectors: Vectors, taste: jax.Array) -> Parts:
    """The parts of each pair's score but the item's bias.

    preference: l of each frame; frames: y, or None where neither attention nor gate asks for it; taste: c of each pair.
    """
    alpha = attention_shares(model, state, group, preference, frames, vectors)
    h = group.sum(alpha * preference)
    residual = None
    u, w, v = (group.pair_user(vectors.u), group.pair_user(vectors.w), vectors.v)
    if vectors.residual is not None:
        residual = jnp.sum(w * vectors.residual, axis=-1) * group.has_frames()
    weight = jnp.ones_like(h)
    if model.fusion == "gate":
        pooled = group.sum(alpha[..., None] * frames)
        pooled = pooled if vectors.residual is None else pooled + vectors.residual * group.has_frames()[..., None]
        gate = nn.sigmoid(
            Perceptron(model.gate_dim, bias=True).apply(
                {"params": state.gate}, users=u, visual_users=w, items=v, look=pooled
            )
        )
        taste, weight = gate * taste, 1.0 - gate
        h, residual = weight * h, None if residual is None else weight * residual
    return Parts(taste, h, residual, alpha, preference, weight)
