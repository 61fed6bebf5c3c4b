"""JIFR: the item and its key frame (Wu, Chen, Yang, Hong, Ge, Xie, Wang: Personalized Multimedia Item and Key Frame
Recommendation, IJCAI 2019). The method's equations are a reconstruction; where the paper could differ is a field
(docs/jifr.md).
"""

import dataclasses
import math
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Explanation, Kind, Ragged, Traits
from socialjax.models.parts import EmbeddingModel, Factors, dot_scores, pair_dot, require_at_least
from socialjax.models.visual import jifr_scores
from socialjax.models.visual.item_features import frame_table
from socialjax.models.visual.jifr_scores import Perceptron, sharpness
from socialjax.ops.lookup import candidate_scores

# Frames of an item: ids are rows of `Frames.features`, weight the attention alpha_a(k|i), and the column is l_ak.
FRAMES = Kind(
    ("frame",),
    "what its frames look like",
    ranked_by="preference",
    first="key frame",
    words={"weight": "weight", "preference": "liked"},
)
LABELS = {"residual": "what it looks like beside its frames"}


def explain(model, state, users, items) -> Explanation:
    """Parts: `taste` <u_a, v_i>, `frames` the sum over frames of alpha_a(k|i) l_ak, `residual` <w_a, eps_i> and
    `item_bias`; with the fusion `gate`, taste is times g and the frames and the residual times 1 - g.

    Elements `frames`: all frames of the item, with alpha, what each adds and l_ak; the key frame has the largest l_ak.
    """
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    if model.space == "collaborative":
        taste = pair_dot(np.asarray(state.users)[users], np.asarray(state.items)[items])
        return model.explained(state, users, items, {"taste": taste}, {})
    parts, group = jifr_scores.pair_parts(model, state, jnp.asarray(users), jnp.asarray(items)[:, None])
    valid, share, preference = (np.asarray(values)[:, 0] for values in (group.valid, parts.share, parts.preference))
    weight = np.asarray(parts.visual_weight, np.float64)
    added = np.where(valid, weight * share * preference, 0.0)
    score_parts = {"frames": added.sum(axis=1).astype(np.float32)}
    if model.space == "both":
        score_parts = {"taste": np.asarray(parts.taste)[:, 0]} | score_parts
    if parts.residual is not None:
        score_parts["residual"] = np.asarray(parts.residual)[:, 0]
    offsets = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int64)
    rows = (np.asarray(group.rows)[:, 0], share, added, preference)
    ids, share, added, preference = (values[valid].astype(t) for values, t in zip(rows, ("i4", "f4", "f4", "f4")))
    frames = Ragged(offsets, ids, share, added, FRAMES, {"preference": preference})
    return model.explained(state, users, items, score_parts, {"frames": frames}, LABELS)


@struct.dataclass
class JIFRSide:
    """The frames of all items.

    Attributes:
      features: f32[L, F], centred and of mean length 1.
      offsets: i32[I + 1]; item i has rows offsets[i]..offsets[i + 1] - 1 of the features.
      item: i32[L], the item of each frame.
      num_users: U.
      longest: Most frames of an item.
    """

    features: jax.Array
    offsets: jax.Array
    item: jax.Array
    num_users: int = struct.field(pytree_node=False)
    longest: int = struct.field(pytree_node=False)


@struct.dataclass
class JIFRState(Factors):
    """Factors u, v, b, and what both training and evaluation need.

    Attributes:
      visual_users: f32[U, D2], w.
      t: f32[], sharpness of the attention.
      residual: f32[I, D2], eps, or None.
      attention: Parameters of the attention's perceptron, or {}.
      gate: Parameters of the gate's perceptron, or {}.
    """

    visual_users: jax.Array
    t: jax.Array
    residual: jax.Array | None
    attention: dict
    gate: dict


@struct.dataclass
class EvaluationState(JIFRState):
    """The state in evaluation, with all frames projected.

    Attributes:
      frames: f32[L, D2], y.
      appeal: f32[L], <B, f>, 0 without `frame_bias`.
      offsets: As in the side.
      item: As in the side.
      longest: As in the side.
    """

    frames: jax.Array
    appeal: jax.Array
    offsets: jax.Array
    item: jax.Array
    longest: int = struct.field(pytree_node=False)


@struct.dataclass
class TrainingState(JIFRState):
    """The state in training, where only the frames that a batch draws are projected.

    Attributes:
      projection: f32[F, D2], E.
      frame_bias: f32[F], B, or None.
      key: u32, from which frames are drawn.
    """

    projection: jax.Array
    frame_bias: jax.Array | None
    key: jax.Array


@dataclasses.dataclass(frozen=True)
class JIFR(EmbeddingModel):
    """For frames k of item i, with features f_k:

        l_ak = <w_a, y_k>,  y_k = E^T f_k                    how much a likes the frame: the key frame is the best
        alpha_a(k|i) = softmax over the frames of i of t l_ak
        s = b_i + <u_a, v_i> + sum over k of alpha_a(k|i) l_ak

    Wu et al., IJCAI 2019; docs/jifr.md says what of the equations is reconstruction. Training reads no likes of frames,
    only their features. An item without frames is scored as by BPR.

    Attributes:
      dim: Width of u and v, at least 1.
      visual_dim: Width of w and y, at least 1.
      pool: Aggregation of the frames of an item: att as above; mean, all alike, is JIFR_NA; max, the best frame alone.
      attn: Logits of the attention: self, t l_ak, or mlp, t times a perceptron of w_a, u_a, y_k, v_i.
      attention_dim: Hidden width of the attention's perceptron, at least 1; with attn mlp only.
      fusion: add as above; or gate, b_i + g <u_a, v_i> + (1 - g) h_ai with h the sum over frames and g a perceptron of
        u_a, w_a, v_i and the pooled y.
      gate_dim: Hidden width of the gate's perceptron, at least 1; with fusion gate only.
      item_visual_residual: Whether a free eps_i is added to the pooled y of an item with frames.
      frame_bias: Whether l_ak has <B, f_k> as well.
      space: both; collaborative leaves the frames out and is BPR; visual leaves <u_a, v_i> out.
      k_max: Most frames of an item that a training pair reads, drawn anew each time, at least 1; `truncated` says what
        share that leaves out, and evaluation reads all.
      reduce_to: Features that are wider are projected to so many leading principal directions, once; at least 1.
      sharpness: Initial t, learned through its logarithm, within 0.1..20.
      l2: Lambda on the squared norms of u, v and b in a batch's rows.
      visual_l2: Lambda on the squared norms of w and eps in a batch's rows, at least 0.
      feature_l2: Lambda on E, B and the perceptrons, at least 0, counted once in the mean of a batch.
      dropout: Share of the numbers of u_a set to zero in training, in [0, 1); 0 with fusion gate.
    """

    traits: ClassVar[Traits] = Traits(needs=("frames",), ranks_frames=True, samples_frames=True)

    dim: int = 32
    visual_dim: int = 32
    pool: Literal["att", "mean", "max"] = "att"
    attn: Literal["self", "mlp"] = "self"
    attention_dim: int = 16
    fusion: Literal["add", "gate"] = "add"
    gate_dim: int = 16
    item_visual_residual: bool = False
    frame_bias: bool = False
    space: Literal["both", "collaborative", "visual"] = "both"
    k_max: int = 20
    reduce_to: int = 256
    sharpness: float = 1.0
    l2: float = 1e-3
    visual_l2: float = 1e-3
    feature_l2: float = 1e-4
    init_std: float = 0.02

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, visual_dim=1, attention_dim=1, gate_dim=1, k_max=1, reduce_to=1)
        require_at_least(self, visual_l2=0, feature_l2=0)
        if not 0.1 <= self.sharpness <= 20:
            raise ValueError(f"sharpness must be in 0.1..20, got {self.sharpness}; for alpha all alike take pool mean")
        if self.fusion == "gate" and self.dropout:
            raise ValueError(f"dropout must be 0 with the fusion gate, which weighs whole vectors, got {self.dropout}")

    @property
    def needs_frame_vectors(self) -> bool:
        """Whether y_k itself is needed, and not its product with w_a alone."""
        return self.fusion == "gate" or (self.pool == "att" and self.attn == "mlp")

    def prepare(self, columns) -> JIFRSide:
        self.check(columns)
        frames = columns.frames
        if not len(frames):
            raise ValueError(f"JIFR needs frames, and data set '{columns.name}' has none of any item; add some")
        longest = int(np.diff(frames.offsets).max())
        offsets = np.asarray(frames.offsets, np.int32)
        return JIFRSide(frame_table(frames.features, self.reduce_to), offsets, frames.item, columns.num_users, longest)

    def truncated(self, side: JIFRSide) -> float:
        """Share of all frames beyond `k_max` of their item, which a training pair leaves out."""
        count = np.diff(np.asarray(side.offsets))
        return float(np.maximum(count - self.k_max, 0).sum() / max(count.sum(), 1))

    def init(self, rng, side: JIFRSide):
        """u, v, w, E and eps from `start`, b and B from 0, t from `sharpness`, perceptrons from LeCun's distribution.
        E = 0 and w = 0 would have no gradient."""
        num_items, width = side.offsets.shape[0] - 1, side.features.shape[1]
        params = dict(self.tables(side.num_users, num_items).init(rng)["params"])
        key = lambda number: jax.random.fold_in(rng, number)  # noqa: E731
        params["visual_users"] = self.initializer(key(0), (side.num_users, self.visual_dim))
        params["projection"] = self.initializer(key(1), (width, self.visual_dim))
        if self.frame_bias:
            params["frame_bias"] = jnp.zeros(width)
        if self.space == "collaborative":
            return params
        u, y = jnp.zeros((1, self.dim)), jnp.zeros((1, self.visual_dim))
        if self.pool == "att":
            params["log_sharpness"] = jnp.float32(math.log(self.sharpness))
            if self.attn == "mlp":
                inputs = {"visual_users": y, "users": u, "frames": y, "items": u}
                params["attention"] = Perceptron(self.attention_dim, bias=False).init(key(2), **inputs)["params"]
        if self.fusion == "gate":
            inputs = {"users": u, "visual_users": y, "items": u, "look": y}
            params["gate"] = Perceptron(self.gate_dim, bias=True).init(key(3), **inputs)["params"]
        if self.item_visual_residual:
            params["residual"] = self.initializer(key(4), (num_items, self.visual_dim))
        return params

    def _vectors(self, params, side: JIFRSide) -> dict:
        """The fields of `JIFRState`, by name."""
        params = jax.tree.map(jnp.asarray, params)
        free = {name: params[name] for name in ("users", "items", "item_bias") if name in params}
        users, items, bias = self.tables(side.num_users, side.offsets.shape[0] - 1).apply({"params": free})
        if self.space == "visual":
            users, items = jnp.zeros_like(users), jnp.zeros_like(items)
        t = sharpness(jnp.asarray(params.get("log_sharpness", 0.0)))
        found = {"users": users, "items": items, "item_bias": bias, "visual_users": params["visual_users"], "t": t}
        parts = {name: params.get(name, {}) for name in ("attention", "gate")}
        return found | parts | {"residual": params.get("residual")}

    def training_state(self, params, side: JIFRSide, rng) -> TrainingState:
        extra = {"projection": params["projection"], "frame_bias": params.get("frame_bias"), "key": rng}
        return TrainingState(**self._vectors(params, side), **extra)

    def encode(self, params, side: JIFRSide) -> EvaluationState:
        features = jnp.asarray(side.features)
        return EvaluationState(
            **self._vectors(params, side),
            frames=features @ params["projection"],
            appeal=features @ params["frame_bias"] if self.frame_bias else jnp.zeros(features.shape[0]),
            offsets=jnp.asarray(side.offsets),
            item=jnp.asarray(side.item),
            longest=side.longest,
        )

    def squared_norms(self, params):
        return self.table_norms(params)

    def penalty(self, params, side: JIFRSide, state, batch: Batch, rng):
        """visual_l2 of the row's user and items and feature_l2, which is the same in each row: f32[B]."""
        if self.space == "collaborative":
            return None
        own = jnp.sum(params["visual_users"] ** 2, axis=1)[batch.users]
        if self.item_visual_residual:
            squares = jnp.sum(params["residual"] ** 2, axis=1)
            own = own + squares[batch.items] + jnp.mean(squares[batch.negatives], axis=1)
        shared = [params[name] for name in ("projection", "frame_bias", "attention", "gate") if name in params]
        return self.visual_l2 * own + self.feature_l2 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(shared))

    def extra_scores(self, state: TrainingState, side: JIFRSide, batch: Batch, candidates):
        if self.space == "collaborative":
            return None
        return jifr_scores.training_scores(self, state, side, batch, candidates)

    def score(self, state: EvaluationState, users, items):
        if self.space == "collaborative":
            return dot_scores(state, users, items)
        return jifr_scores.scores(self, state, jnp.asarray(users), jnp.asarray(items))

    def frame_scores(self, state: EvaluationState, side: JIFRSide, users, frames):
        """l_ak, whichever `pool`, `attn` and `fusion` the model has."""
        liked = candidate_scores(state.visual_users[users], state.frames, frames)
        return liked + state.appeal[frames]

    def explain(self, state: EvaluationState, side: JIFRSide, users, items):
        """Parts `taste`, `frames`, `residual` and `item_bias`; elements `frames`. See `explain`."""
        return explain(self, state, users, items)
