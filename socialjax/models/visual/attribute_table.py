"""What attribute models are given of the items: one vector for each attribute, and the picture as a whole (NumPy)."""

import jax
import numpy as np
from flax import struct

_ROWS = 1 << 12  # items held in double precision at once


@struct.dataclass
class AttributeTable:
    """features f32[I, K, F], of mean length 1 where an attribute is valid and 0 where it is not; valid bool[I, K]."""

    features: jax.Array
    valid: jax.Array


def attribute_table(columns, regions: bool) -> AttributeTable:
    """The attributes of a data set, vectors divided by one number.

    regions: the vectors of the regions in the pictures; else each attribute's class alone, a 1 among those of all
    attributes' classes, sum over k of C_k numbers wide.
    """
    of = columns.attributes
    if regions:
        return AttributeTable(np.where(of.valid[..., None], scaled(of.features, of.valid), np.float32(0)), of.valid)
    count = np.array([len(each) for each in of.classes])
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    table = np.zeros((*of.label.shape, int(count.sum())), np.float32)
    item, attribute = np.nonzero(of.valid & (of.label >= 0))
    table[item, attribute, start[attribute] + of.label[item, attribute]] = 1
    return AttributeTable(table, of.valid)


def scaled(features: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """f32[..., F] divided by one number, so that the mean length of the vectors that count, bool[...], is 1.

    Vectors of zeros are nothing seen: they stay, and never count.
    """
    lengths = np.zeros(features.shape[:-1])
    for at in range(0, len(features), _ROWS):
        lengths[at : at + _ROWS] = np.linalg.norm(features[at : at + _ROWS].astype(np.float64), axis=-1)
    counts = lengths > 0 if counts is None else counts & (lengths > 0)
    return (features / np.float32(lengths[counts].mean() if counts.any() else 1.0)).astype(np.float32)
