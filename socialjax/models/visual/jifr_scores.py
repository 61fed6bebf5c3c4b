"""JIFR's attention over frames and its scores, in training with some of an item's frames, afterwards with all."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from socialjax.models.visual.item_features import AllFrames, PaddedFrames, padded_frames
from socialjax.ops import sample
from socialjax.ops.lookup import candidate_scores, row_sums

FRAMES = 13  # counter that keeps the draw of frames apart
NUMBERS_AT_ONCE = 1 << 23  # of the largest array in scoring: 32 MiB


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


def training_scores(model, state, side, batch, candidates: jax.Array) -> jax.Array:
    """The terms of training scores beside <u_a, v_i> + b_i, from at most `k_max` frames of each candidate.

    l_ak is <E w_a, f_k>: the user's vector is projected to the space of features, F D2 products a row, and frames are
    only gathered. Projecting them costs K F D2 a row and a scattered gradient; that is done where y itself is needed,
    for the frames of the batch or, when the batch has more than there are, for all at once.

    Args:
      model: A `JIFR`.
      state: A `TrainingState`.
      side: A `JIFRSide`.
      batch: B training pairs.
      candidates: i32[B, C].

    Returns:
      f32[B, C].
    """
    width = min(model.k_max, side.longest)
    key = None
    if side.longest > width:
        rows = sample.fold(sample.fold(sample.fold(state.key, sample.OTHERS), FRAMES), batch.rows)
        key = sample.fold(rows[:, None], jnp.arange(candidates.shape[1])[None, :])
    group = padded_frames(jnp.asarray(side.offsets), candidates, width, key)
    features, bias = jnp.asarray(side.features), state.frame_bias
    w = state.visual_users[batch.users]
    frames = None
    if model.needs_frame_vectors:
        if group.rows.size < features.shape[0]:
            gathered = features[group.rows]
            frames = gathered @ state.projection
            appeal = None if bias is None else gathered @ bias
        else:
            frames = (features @ state.projection)[group.rows]
            appeal = None if bias is None else (features @ bias)[group.rows]
        preference = row_sums(group.of_user(w) * frames)
        preference = preference if appeal is None else preference + appeal
    else:
        carried = w @ state.projection.T
        carried = carried if bias is None else carried + bias[None, :]
        preference = row_sums(group.of_user(carried) * features.at[group.rows].get(mode="promise_in_bounds"))
    u, v = state.users[batch.users], state.items
    taste = candidate_scores(u, v, candidates)
    residual = None if state.residual is None else state.residual[candidates]
    parts = score_parts(model, state, group, preference, frames, Vectors(u, w, v[candidates], residual), taste)
    return parts.sum() - taste


def scores(model, state, users: jax.Array, items: jax.Array) -> jax.Array:
    """Scores f32[B, C] of users i32[B] with items i32[B, C], over all frames of every item.

    The candidates' frames are gathered, padded to the longest item; where these would be as many as there are in all,
    every item is scored by a softmax over segments and the candidates are picked.
    """
    by_pair = items.shape[1] * state.longest < state.frames.shape[0]
    places = items.shape[1] * state.longest if by_pair else state.frames.shape[0]
    wide = max(
        model.visual_dim if model.fusion == "gate" or by_pair else 1,
        model.attention_dim if model.needs_frame_vectors else 1,
    )
    height = max(1, min(users.shape[0], NUMBERS_AT_ONCE // (places * wide)))

    def block(part):
        users, items = part
        block_parts = pair_parts(model, state, users, items)[0] if by_pair else _all_item_parts(model, state, users)
        total = block_parts.sum() if by_pair else jnp.take_along_axis(block_parts.sum().T, items, axis=1)
        return total + state.item_bias[items]

    parts = [jnp.pad(a, [(0, -users.shape[0] % height), *[(0, 0)] * (a.ndim - 1)]) for a in (users, items)]
    parts = [a.reshape(-1, height, *a.shape[1:]) for a in parts]
    return jax.lax.map(block, tuple(parts)).reshape(-1, items.shape[1])[: users.shape[0]]


def pair_parts(model, state, users: jax.Array, items: jax.Array) -> tuple[Parts, PaddedFrames]:
    """The parts of users i32[B] with items i32[B, C], f32[B, C], and the frames they come from."""
    group = padded_frames(state.offsets, items, state.longest)
    u, w, v = state.users[users], state.visual_users[users], state.items[items]
    flat = group.rows.reshape(len(users), -1)
    preference = (candidate_scores(w, state.frames, flat) + state.appeal[flat]).reshape(group.rows.shape)
    frames = state.frames[group.rows] if model.needs_frame_vectors else None
    residual = None if state.residual is None else state.residual[items]
    taste = candidate_scores(u, state.items, items)
    return score_parts(model, state, group, preference, frames, Vectors(u, w, v, residual), taste), group


def _all_item_parts(model, state, users: jax.Array) -> Parts:
    """The parts of users i32[R] with all items, f32[I, R]."""
    group = AllFrames(state.item, state.items.shape[0])
    u, w, v = state.users[users], state.visual_users[users], state.items[:, None]
    exact = jax.lax.Precision.HIGHEST
    preference = jnp.dot(state.frames, w.T, precision=exact) + state.appeal[:, None]
    frames = state.frames[:, None] if model.needs_frame_vectors else None
    residual = None if state.residual is None else state.residual[:, None]
    taste = jnp.dot(state.items, u.T, precision=exact)
    return score_parts(model, state, group, preference, frames, Vectors(u, w, v, residual), taste)
