"""Why JIFR scores pairs as it does and which frames speak for it, on the host (section 8)."""

import jax.numpy as jnp
import numpy as np

from socialjax.models.parts import pair_dot
from socialjax.models.protocol import Explanation
from socialjax.models.visual import jifr_scores
from socialjax.models.visual.key_frames import FrameRows


def explain(model, state, users, items) -> Explanation:
    """Parts: `taste` <u_a, v_i>, `frames` the sum over frames of alpha_a(k|i) l_ak, `residual` <w_a, eps_i> and
    `item_bias`; with the fusion `gate`, taste is times g and the frames and the residual times 1 - g.

    Elements `frames`: all frames of the item, with alpha, what each adds and l_ak; the key frame has the largest l_ak.
    """
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    if model.space == "collaborative":
        taste = pair_dot(np.asarray(state.users)[users], np.asarray(state.items)[items])
        return model.explained(state, users, items, {"taste": taste}, {})
    parts, group = jifr_scores.of_pairs(model, state, jnp.asarray(users), jnp.asarray(items)[:, None])
    there, share, preference = (np.asarray(values)[:, 0] for values in (group.there, parts.share, parts.preference))
    weight = np.asarray(parts.visual_weight, np.float64)
    added = np.where(there, weight * share * preference, 0.0)
    said = {"frames": added.sum(axis=1).astype(np.float32)}
    if model.space == "both":
        said = {"taste": np.asarray(parts.taste)[:, 0]} | said
    if parts.residual is not None:
        said["residual"] = np.asarray(parts.residual)[:, 0]
    offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    rows = (np.asarray(group.places)[:, 0], share, added, preference)
    ids, share, added, preference = (values[there].astype(t) for values, t in zip(rows, ("i4", "f4", "f4", "f4")))
    frames = FrameRows(offsets, ids, share, added, preference)
    return model.explained(state, users, items, said, {"frames": frames})


def favourite_frames(state, user: int, count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """What a user likes to look at: the frames of the whole collection with the largest l_ak, i32[n] and f32[n]."""
    liked = np.asarray(state.frames) @ np.asarray(state.visual_users)[user] + np.asarray(state.appeal)
    best = np.argsort(-liked, kind="stable")[:count].astype(np.int32)
    return best, liked[best].astype(np.float32)
