"""Why SAERS scores pairs as it does: which attributes speak for an item, on the host (section 12)."""

import dataclasses

import numpy as np

from socialjax.models.attributes import saers_scores
from socialjax.models.parts import pair_dot
from socialjax.models.protocol import Explanation, Ragged


@dataclasses.dataclass(frozen=True)
class AttributeRows(Ragged):
    """Valid attributes of each pair's item: ids are their numbers k, weight the attention a_uik, contribution a_uik
    t_u . h_ik, affinity f32[T] sigmoid(t_u . h_ik)."""

    affinity: np.ndarray


def explain(model, state, side, users, items) -> Explanation:
    """Parts: `global` p_u . W_g g_i, `semantic` t_u . s_ui, `taste` gamma_u . q_i and `item_bias`, those that the model
    has. Elements `attributes`: what `semantic` is made of."""
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    parts, elements = {}, {}
    mine, theirs = np.asarray(state.users)[users], np.asarray(state.items)[items]
    split = mine.shape[1] - model.dim * model.free_items
    if split:
        parts["global"] = pair_dot(mine[:, :split], theirs[:, :split])
    if state.looks is not None:
        attended = saers_scores.attended(model, state, users, items[:, None])
        share, affinity = (np.asarray(values, np.float64)[:, 0] for values in attended)
        parts["semantic"] = (share * affinity).sum(axis=1).astype(np.float32)
        elements["attributes"] = _rows(share, affinity, np.asarray(state.looks.valid)[items])
    if model.free_items:
        parts["taste"] = pair_dot(mine[:, split:], theirs[:, split:])
    return model.explained(state, users, items, parts, elements)


def _rows(share: np.ndarray, affinity: np.ndarray, valid: np.ndarray) -> AttributeRows:
    offsets = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int64)
    pair, attribute = np.nonzero(valid)
    columns = share, share * affinity, np.tanh(affinity / 2) / 2 + 0.5  # the last is sigmoid, which cannot overflow
    return AttributeRows(offsets, attribute.astype(np.int32), *(c[pair, attribute].astype(np.float32) for c in columns))
