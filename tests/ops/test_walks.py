"""Random walks against the exact distribution of visits, and what is kept of them worked by hand."""

import numpy as np
import pytest

from socialjax.graph import Edges, edges, symmetrise
from socialjax.ops import graph_analysis
from socialjax.ops.graph_analysis import visits


def path(size) -> Edges:
    """0 - 1 - ... - size-1, both ways."""
    return symmetrise(edges(np.arange(size - 1), np.arange(1, size), size, size))


def dense(found: Edges) -> np.ndarray:
    """weight[receiver, sender]"""
    table = np.zeros((found.num_receivers, found.num_senders))
    np.add.at(table, (found.receivers, found.senders), found.weight)
    return table


def exact(graph: Edges, length, restart) -> np.ndarray:
    """Expected shares of visits to others: x_1 = e P, x_t = ((1 - r) x_{t-1} + r e) P, summed over t."""
    table = np.zeros((graph.num_receivers, graph.num_senders))
    table[graph.receivers, graph.senders] = 1
    step = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    starts = np.eye(len(step))
    now = total = starts @ step
    for _ in range(length - 1):
        now = ((1 - restart) * now + restart * starts) @ step
        total = total + now
    np.fill_diagonal(total, 0)
    return total / np.maximum(total.sum(axis=1, keepdims=True), 1e-30)


@pytest.mark.parametrize("in_one_block", [1, graph_analysis.VISITS], ids=["a node a block", "one block"])
@pytest.mark.parametrize("length, restart", [(1, 0.5), (4, 0.0), (5, 0.5)])
def test_shares_converge_to_the_exact_distribution_on_a_path(length, restart, in_one_block, monkeypatch):
    monkeypatch.setattr(graph_analysis, "VISITS", in_one_block)
    graph = path(6)
    found = dense(visits(graph, 20_000, length, restart, top=6, seed=0))
    np.testing.assert_allclose(found, exact(graph, length, restart), atol=0.01)


def test_a_hundred_times_the_walks_make_the_error_a_tenth():
    graph = path(8)
    error = [np.abs(dense(visits(graph, n, 4, 0.3, 8, seed=1)) - exact(graph, 4, 0.3)).mean() for n in (50, 5000)]
    assert 0.03 * error[0] < error[1] < 0.3 * error[0]


def test_of_equally_visited_nodes_the_smaller_id_is_kept():
    # From 4: node 1 twice, 3 three times, 2 twice, itself once. From 0: node 5 once, itself five times, 2 twice.
    visited = np.array([[1, 3, 2, 3, 4, 1, 3, 2], [0, 0, 2, 5, 0, 2, 0, 0]], np.int32)
    start, node, share = graph_analysis._most_visited(visited, np.array([4, 0]), size=6, top=2)
    assert (start.tolist(), node.tolist()) == ([4, 4, 0, 0], [3, 1, 2, 5])
    np.testing.assert_allclose(share, [3 / 5, 2 / 5, 2 / 3, 1 / 3])


def test_each_node_keeps_at_most_so_many_others_whose_shares_sum_to_one():
    rng = np.random.default_rng(0)
    graph = symmetrise(edges(rng.integers(40, size=150), rng.integers(40, size=150), 40, 40))
    every, few = (visits(graph, 50, 4, 0.5, top, seed=3) for top in (40, 5))
    assert (few.senders != few.receivers).all()
    np.testing.assert_allclose(np.bincount(few.receivers, few.weight, 40), 1.0, rtol=1e-6)
    assert np.bincount(few.receivers).max() == 5 < np.bincount(every.receivers).max()
    for node in range(40):  # those with the largest shares of all
        least = few.weight[few.receivers == node].min() * dense(every)[node, few.senders[few.receivers == node]].sum()
        assert np.count_nonzero(dense(every)[node] > least + 1e-6) < 5


def test_the_order_of_edges_changes_nothing_and_the_seed_does():
    graph = path(30)
    order = np.random.default_rng(0).permutation(len(graph))
    turned = Edges(graph.senders[order], graph.receivers[order], graph.weight[order], 30, 30)
    first, second = dense(visits(graph, 20, 4, 0.5, 3, seed=7)), dense(visits(turned, 20, 4, 0.5, 3, seed=7))
    np.testing.assert_array_equal(first, second)
    assert (dense(visits(graph, 20, 4, 0.5, 3, seed=8)) != first).any()


def test_a_walker_follows_senders_and_returns_from_a_node_that_hears_nobody():
    """0 hears 1, and 1 hears 2, who hears nobody; 3 is alone."""
    graph = edges([1, 2], [0, 1], 4, 4)
    found = dense(visits(graph, 1000, 4, 0.0, 4, seed=0))
    np.testing.assert_allclose(found, [[0, 0.5, 0.5, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_a_graph_without_edges_has_no_visits():
    assert len(visits(edges([], [], 3, 3), 10, 4, 0.5, 2, seed=0)) == 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"walks": 0}, "walks must be at least 1, got 0"),
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"top": 0}, "top must be at least 1, got 0"),
        ({"restart": 1.0}, r"restart must be in \[0, 1\), got 1.0"),
        ({"graph": edges([0], [1], 2, 3)}, "square graph, got 2 x 3"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    settings = {"graph": path(3), "walks": 5, "length": 2, "restart": 0.5, "top": 2, "seed": 0}
    with pytest.raises(ValueError, match=message):
        visits(**settings | change)
