"""The features of frames as models take them: centred, of mean length 1, wide ones reduced once (NumPy)."""

import numpy as np

_ROWS = 1 << 12  # converted at once: a table mapped from a file is never whole in memory
_SAMPLE = 1 << 14  # frames in which the leading directions are looked for
_EXTRA = 32  # directions beyond those wanted, which make the wanted ones exact
_ROUNDS = 2


def frame_table(features: np.ndarray, width: int) -> np.ndarray:
    """features f16 or f32 [L, F] -> f32[L, min(F, width)]: less their mean, divided by the mean of their lengths.

    Features wider than `width` are reduced to their `width` leading principal directions, which are orthonormal: inner
    products stay what they are but for what lies in the other directions. They are found in at most 16,384 frames,
    evenly spread, by subspace iteration from a fixed start (Halko, Martinsson, Tropp, 2011), so that the same features
    always give the same table.
    """
    mean = np.zeros(features.shape[1])
    for block in _blocks(features):
        mean += block.sum(axis=0, dtype=np.float64)
    mean = (mean / max(len(features), 1)).astype(np.float32)
    basis = _leading(features, mean, width) if features.shape[1] > width else None
    table = np.empty((len(features), min(features.shape[1], width)), np.float32)
    start = 0
    for block in _blocks(features):
        centred = block - mean
        table[start : start + len(block)] = centred if basis is None else centred @ basis
        start += len(block)
    length = np.sqrt(np.einsum("lf,lf->l", table, table, dtype=np.float64)).mean() if len(table) else 0.0
    table /= np.float32(length or 1.0)
    return table


def _leading(features: np.ndarray, mean: np.ndarray, width: int) -> np.ndarray:
    """f32[F, width], orthonormal: where the features vary most, the largest variance first."""
    step = -(-len(features) // _SAMPLE)
    sample = np.concatenate([block.astype(np.float32) for block in _blocks(features[::step])]) - mean
    start = np.random.default_rng(0).normal(size=(features.shape[1], width + _EXTRA)).astype(np.float32)
    basis = np.linalg.qr(start[:, : features.shape[1]])[0]
    for _ in range(_ROUNDS):
        basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
    seen = sample @ basis
    variance, turn = np.linalg.eigh(seen.T @ seen)
    return basis @ turn[:, np.argsort(-variance, kind="stable")[:width]]


def _blocks(features: np.ndarray):
    for start in range(0, len(features), _ROWS):
        yield np.asarray(features[start : start + _ROWS], np.float32)
