"""Why SAERS scores pairs as it does: which attributes speak for an item, on the host (section 12)."""

import dataclasses

import numpy as np

from socialjax.models.parts import pair_dot
from socialjax.models.protocol import Explanation, Ragged
from socialjax.models.visual import saers_scores


@dataclasses.dataclass(frozen=True)
class AttributeRows(Ragged):
    """Valid attributes of each pair's item: ids are their numbers k, weight the attention a_uik, product f32[T] t_u .
    h_ik and contribution a_uik t_u . h_ik."""

    product: np.ndarray

    @property
    def affinity(self) -> np.ndarray:
        """sigmoid(t_u . h_ik), f32[T], which looks like a probability and is none; as tanh it cannot overflow."""
        return np.tanh(self.product / 2) / 2 + 0.5


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
        share, product = (np.asarray(values, np.float64)[:, 0] for values in attended)
        parts["semantic"] = (share * product).sum(axis=1).astype(np.float32)
        elements["attributes"] = _rows(share, product, np.asarray(state.looks.valid)[items])
    if model.free_items:
        parts["taste"] = pair_dot(mine[:, split:], theirs[:, split:])
    return model.explained(state, users, items, parts, elements)


def _rows(share: np.ndarray, product: np.ndarray, valid: np.ndarray) -> AttributeRows:
    offsets = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int64)
    pair, attribute = np.nonzero(valid)
    columns = share, share * product, product
    return AttributeRows(offsets, attribute.astype(np.int32), *(c[pair, attribute].astype(np.float32) for c in columns))
