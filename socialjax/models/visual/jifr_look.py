"""Frames pooled by attention, and the fusion of the visual and the collaborative space (JIFR, docs/jifr.md)."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp


class Perceptron(nn.Module):
    """out . relu(sum over inputs x of A_x x + a), one hidden layer over several vectors.

    Attributes:
      hidden: Hidden width.
      bias: Whether the output has a bias.
    """

    hidden: int
    bias: bool

    @nn.compact
    def __call__(self, **inputs):
        """The output f32[...] for inputs f32[..., D] whose leading axes broadcast; their names are checkpoint keys."""
        parts = [nn.Dense(self.hidden, use_bias=not n, name=name)(x) for n, (name, x) in enumerate(inputs.items())]
        return nn.Dense(1, use_bias=self.bias, name="out")(nn.relu(sum(parts)))[..., 0]


class Vectors(NamedTuple):
    """Vectors of users and items, with the leading axes that `of_user` and `of_item` of a group of frames take.

    Attributes:
      u: f32[., D], of users.
      w: f32[., D2], of users.
      v: f32[., D], of items.
      residual: f32[., D2], of items, or None.
    """

    u: jax.Array
    w: jax.Array
    v: jax.Array
    residual: jax.Array | None


class Parts(NamedTuple):
    """The parts of the scores of pairs, [B, C] or [I, R]; with the fusion add, g and 1 - g are left out.

    Attributes:
      taste: g <u_a, v_i> of each pair.
      frames: (1 - g) h_ai of each pair.
      residual: (1 - g) <w_a, eps_i> of each pair, or None.
      share: alpha of each frame.
      preference: l of each frame.
      visual_weight: 1 - g of each pair, 1 with the fusion add.
    """

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
    """alpha of each frame: by pool a softmax over the item's frames of t l, all alike (mean), or 1 for the best (max).

    Args:
      model: A `JIFR`.
      state: A `JIFRState`.
      group: `PaddedFrames` or `AllFrames`.
      preference: l of each frame.
      frames: y of each frame, f32[..., D2], which the attention mlp needs, or None.
      vectors: Of users and items.
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

    Args:
      model: A `JIFR`.
      state: A `JIFRState`.
      group: `PaddedFrames` or `AllFrames`.
      preference: l of each frame.
      frames: y of each frame, f32[..., D2]; None where neither attention nor gate needs it.
      vectors: Of users and items.
      taste: <u_a, v_i> of each pair.
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
        # `look`, the input of the pooled y, is a key of checkpoints.
        gate = nn.sigmoid(
            Perceptron(model.gate_dim, bias=True).apply(
                {"params": state.gate}, users=u, visual_users=w, items=v, look=pooled
            )
        )
        taste, weight = gate * taste, 1.0 - gate
        h, residual = weight * h, None if residual is None else weight * residual
    return Parts(taste, h, residual, alpha, preference, weight)
