"""Features in place of the published ones, which no test can have: made of the training pairs alone, among noise."""

import numpy as np

from socialjax.models.history import taken_items


def simulated_features(data, informed: int, noise: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors f32[U, F] of users and f32[I, F] of items, F = informed + noise.

    informed: singular vectors of the training matrix, those of the largest values, each with deviation 1; noise: normal
    columns. A user has the mean over the training items, as vectors of reviews are made of the same pairs.
    """
    taken = taken_items(data).toarray().astype(np.float64)
    right = np.linalg.svd(taken, full_matrices=False)[2][:informed]
    columns = [(right / right.std(axis=1, keepdims=True)).T]
    columns.append(np.random.default_rng(seed).normal(size=(data.num_items, noise)))
    items = np.concatenate(columns, axis=1)
    users = taken @ items / np.maximum(taken.sum(axis=1, keepdims=True), 1)
    return users.astype(np.float32), items.astype(np.float32)
