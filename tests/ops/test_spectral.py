"""Social features by eigenvectors, against a dense twin and on graphs whose eigenvectors are known."""

import numpy as np
import pytest

from socialjax.graph import edges
from socialjax.ops.graph_analysis import spectral


def graph(pairs, size):
    return edges(*np.array(pairs, np.int32).reshape(-1, 2).T, size, size)


def random_graph(size, number, seed=0):
    return graph(np.random.default_rng(seed).integers(size, size=(number, 2)), size)


def dense(pairs, size, dim):
    """The promise cell by cell: a full matrix, all its eigenvectors, sign by the largest entry, rows of length 1."""
    matrix = np.zeros((size, size))
    for a, b in pairs:
        if a != b:
            matrix[a, b] = matrix[b, a] = 1
    degree = matrix.sum(axis=1)
    for a in range(size):
        for b in range(size):
            if matrix[a, b]:
                matrix[a, b] /= np.sqrt(degree[a] * degree[b])
    linked = [a for a in range(size) if degree[a]]
    values, vectors = np.linalg.eigh(matrix[np.ix_(linked, linked)])
    found = np.zeros((size, dim))
    for column, place in enumerate(np.argsort(-values)[:dim]):
        vector = vectors[:, place]
        found[linked, column] = vector * np.sign(vector[np.argmax(np.abs(vector))])
    for row in found:
        if row.any():
            row /= np.sqrt((row**2).sum())
    return found


@pytest.mark.parametrize("dim", [1, 8, 30, 50], ids=["one", "sparse", "dense", "all"])
def test_it_is_the_dense_twin(dim):
    given = random_graph(50, 200)
    np.testing.assert_allclose(spectral(given, dim), dense(zip(given.senders, given.receivers), 50, dim), atol=1e-4)


def test_users_without_links_and_columns_without_vectors_are_zero():
    found = spectral(graph([(0, 1), (1, 2), (4, 4)], 6), 5)
    assert found.shape == (6, 5) and found.dtype == np.float32
    assert not found[3:].any() and not found[:, 3:].any()
    np.testing.assert_allclose(np.linalg.norm(found[:3], axis=1), 1, rtol=1e-6)
    assert not spectral(graph([], 4), 2).any()


def test_a_path_of_three_by_hand():
    # Normalised adjacency [[0, r, 0], [r, 0, r], [0, r, 0]], r = 1/sqrt(2): eigenvalue 1 with (1, sqrt(2), 1) / 2.
    found = spectral(graph([(0, 1), (1, 2)], 3), 1)
    np.testing.assert_allclose(found, np.ones((3, 1)), rtol=1e-6)  # rows of one column are 1 after scaling
    # Second eigenvalue 0 with (1, 0, -1) / sqrt(2), up to sign: the ends are told apart, the middle is not.
    second = spectral(graph([(0, 1), (1, 2)], 3), 2)[:, 1]
    assert second[0] * second[2] < -0.1 and abs(second[1]) < 1e-6


def test_two_circles_of_friends_are_told_apart():
    circle = [(a, b) for a in range(20) for b in range(a)]
    found = spectral(graph([*circle, *((a + 20, b + 20) for a, b in circle), (0, 20)], 40), 2)
    alike = found @ found.T
    assert alike[1:20, 1:20].min() > 0.99 and alike[21:, 21:].min() > 0.99
    assert alike[1:20, 21:].max() < 0.2


def test_order_direction_repeats_and_calls_change_nothing():
    given = random_graph(80, 400, seed=1)
    pairs = np.stack([given.senders, given.receivers], 1)
    once, again = (spectral(given, 6) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    moved = np.random.default_rng(2).permutation(np.concatenate([pairs[:, ::-1], pairs[:50]]))
    np.testing.assert_array_equal(spectral(graph(moved, 80), 6), once)


def test_wrong_arguments_say_so():
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        spectral(random_graph(5, 9), 0)
    with pytest.raises(ValueError, match="square"):
        spectral(edges([0], [1], 2, 3), 1)
