"""Edge lists against dense matrices."""

import numpy as np
import pytest

from socialjax import graph
from socialjax.graph import edges


def dense(g):
    """Receivers x senders, the sum of the weights of equal edges."""
    matrix = np.zeros((g.num_receivers, g.num_senders))
    for sender, receiver, weight in zip(g.senders, g.receivers, g.weight):
        matrix[receiver, sender] += weight
    return matrix


def some(seed=0, count=30, senders=7, receivers=5):
    rng = np.random.default_rng(seed)
    return edges(
        rng.integers(senders, size=count), rng.integers(receivers, size=count), senders, receivers, rng.random(count)
    )


def test_edges_are_i32_and_weigh_one_unless_told():
    g = edges([0, 2], [1, 0], 3, 2)
    assert (g.senders.dtype, g.receivers.dtype, g.weight.dtype) == (np.int32, np.int32, np.float32)
    np.testing.assert_array_equal(g.weight, [1, 1])
    assert len(g) == 2 and len(edges([], [], 3, 2)) == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([0, 1], [0], 2, 2), "one length"),
        (([[0]], [[0]], 2, 2), "one-dimensional"),
        (([0], [0], 2, 2, [1.0, 1.0]), "one length"),
        (([2], [0], 2, 2), r"senders must be in 0\.\.1, got 2"),
        (([0], [-1], 2, 2), r"receivers must be in 0\.\.1, got -1"),
        (([0], [0], 2, 2, [np.nan]), "finite, got 1"),
    ],
)
def test_edges_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        edges(*arguments)


def test_sorting_orders_by_receiver_then_sender_and_keeps_each_weight():
    g = some()
    ordered = graph.sort_by_receiver(g)
    keys = ordered.receivers.astype(int) * g.num_senders + ordered.senders
    assert (np.diff(keys) >= 0).all()
    np.testing.assert_allclose(dense(ordered), dense(g), rtol=1e-6)


def test_transposing_turns_every_edge_round():
    g = some()
    np.testing.assert_allclose(dense(graph.transpose(g)), dense(g).T)
    assert graph.transpose(g).num_senders == g.num_receivers


def test_distinct_pairs_are_sorted_and_exact_beyond_32_bits():
    left, right = graph.distinct(np.int32([70_000, 3, 3, 70_000, 3]), np.int32([69_999, 5, 0, 69_999, 5]), 70_000)
    np.testing.assert_array_equal(left, [3, 3, 70_000])
    np.testing.assert_array_equal(right, [0, 5, 69_999])
    assert not len(graph.distinct([], [], 4)[0])


def test_symmetrise_gives_both_directions_once_and_drops_self_links():
    # 0 -> 1 twice, 2 <-> 1 given both ways, 3 -> 3 is nobody's friend, 4 has no link
    g = graph.symmetrise(edges([0, 0, 2, 1, 3], [1, 1, 1, 2, 3], 5, 5))
    assert sorted(zip(g.senders.tolist(), g.receivers.tolist())) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    np.testing.assert_array_equal(g.weight, np.ones(4))
    with pytest.raises(ValueError, match="square"):
        graph.symmetrise(edges([0], [1], 2, 3))


def test_degrees_count_edges():
    g = edges([0, 0, 1, 0], [2, 2, 2, 0], 3, 4)
    np.testing.assert_array_equal(graph.in_degree(g), [1, 0, 3, 0])
    np.testing.assert_array_equal(graph.out_degree(g), [3, 1, 0])


@pytest.mark.parametrize("how", ["none", "mean", "sqrt", "symmetric"])
def test_normalised_weights_are_the_dense_products(how):
    """D_r^-1 A, D_r^-1/2 A and D_r^-1/2 A D_s^-1/2, with degrees of the pattern and nodes without edges left at 0."""
    keys = np.random.default_rng(1).choice(6 * 8, 20, replace=False)
    g = edges(keys % 8, keys // 8, 8, 6, np.random.default_rng(2).random(20))
    g = graph.edges(*(a[g.receivers != 3] for a in (g.senders, g.receivers)), 8, 6, g.weight[g.receivers != 3])
    matrix = dense(g)
    into, out = (matrix > 0).sum(axis=1), (matrix > 0).sum(axis=0)
    inverse = lambda degree, power: np.where(degree > 0, np.maximum(degree, 1.0) ** -power, 0.0)  # noqa: E731
    expected = {
        "none": matrix,
        "mean": inverse(into, 1.0)[:, None] * matrix,
        "sqrt": inverse(into, 0.5)[:, None] * matrix,
        "symmetric": inverse(into, 0.5)[:, None] * matrix * inverse(out, 0.5)[None, :],
    }[how]
    np.testing.assert_allclose(dense(graph.normalise(g, how)), expected, rtol=1e-6)


def test_a_mean_of_unweighted_edges_sums_to_one_for_each_receiver_that_hears_anyone():
    g = graph.normalise(edges([0, 1, 2, 0], [0, 0, 0, 2], 3, 4), "mean")
    np.testing.assert_allclose(dense(g).sum(axis=1), [1, 0, 1, 0], rtol=1e-6)


@pytest.mark.parametrize("count, multiple, padded", [(5, 4, 8), (8, 4, 8), (0, 4, 0), (1, 1, 1)])
def test_padding_fills_up_to_a_multiple_with_edges_that_reach_nobody(count, multiple, padded):
    g = some(count=count)
    longer = graph.pad(g, multiple)
    assert len(longer) == padded
    np.testing.assert_array_equal(longer.senders[:count], g.senders)
    assert (longer.receivers[count:] == g.num_receivers).all() and not longer.weight[count:].any()
    assert (longer.senders.dtype, longer.weight.dtype) == (np.int32, np.float32)
