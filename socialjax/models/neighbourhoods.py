"""Draws a batch's neighbourhoods: users' items, items' users, users' friends, as many layers as a model has."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from socialjax.contract import Batch, numbered
from socialjax.models.history import Bipartite, History
from socialjax.ops import sample
from socialjax.ops.forest import Forest, Neighbours

Side = Literal["users", "items"]


@dataclasses.dataclass(frozen=True)
class Nodes:
    """Nodes that stand next to each other.

    Attributes:
      kind: Users or items.
      first: Number of the first.
      ids: i32[R], in the whole table; its length or more is padding.
      keys: u32[R], the randomness of each, which depends on the row of the batch and on the way from there alone.
    """

    kind: Side
    first: int
    ids: jax.Array
    keys: jax.Array


class Growth:
    """Draws neighbours of a batch's nodes, step by step, and numbers them.

    Attributes:
      users: The batch's users, one a row.
      items: The batch's positives and negatives in the order of `contract.batch_items`.
    """

    def __init__(self, batch: Batch, rng: jax.Array):
        self.batch = batch
        self._ids: dict[Side, list[jax.Array]] = {"users": [], "items": []}
        self._size = {"users": 0, "items": 0}
        self._draws = 0
        self._drawn: dict[str, list[tuple[tuple[int, int, int, int], jax.Array]]] = {}
        key = sample.fold(sample.fold(rng, sample.NEIGHBOURS), batch.rows)
        columns = [batch.items, *batch.negatives.T]
        self.users = self._add("users", batch.users, sample.fold(key, 0))
        keys = jnp.concatenate([sample.fold(key, 1 + column) for column in range(len(columns))])
        self.items = self._add("items", jnp.concatenate(columns), keys)

    def _add(self, kind: Side, ids: jax.Array, keys: jax.Array) -> Nodes:
        nodes = Nodes(kind, self._size[kind], ids, keys)
        self._ids[kind].append(ids)
        self._size[kind] += ids.shape[0]
        return nodes

    def draw(
        self, name: str, edges: Neighbours, of: Nodes, step: int, kind: Side, without: jax.Array | None = None
    ) -> Nodes:
        """Neighbours of some nodes.

        Args:
          name: Of the kind of edges.
          edges: All edges of that kind.
          of: The receivers.
          step: The layer, from 0.
          kind: What the senders are.
          without: i32[R], a sender for each receiver that is left out if it is drawn.

        Returns:
          The senders, fan-out many for each receiver.

        Raises:
          ValueError: where the fan-outs end before this layer.
        """
        if step >= len(edges.fanouts):
            raise ValueError(
                f"--train.fanouts needs a number for each layer of the model, at least {step + 1}, got "
                f"{' '.join(map(str, edges.fanouts))}"
            )
        fanout = edges.fanouts[step]
        self._draws += 1
        keys = sample.fold(of.keys, self._draws)
        senders, weight = edges.draw(of.ids, keys, fanout)
        if without is not None:
            weight = jnp.where(senders == without[:, None], 0.0, weight)
        below = self._add(
            kind, senders.reshape(-1), sample.fold(keys[:, None], jnp.arange(fanout)[None, :]).reshape(-1)
        )
        shape = of.first, of.ids.shape[0], below.first, fanout
        self._drawn.setdefault(name, []).append((shape, weight))
        return below

    def scale(self, name: str, factor: jax.Array) -> None:
        """Multiplies the weights that were drawn last, of R receivers, by factor f32[R]."""
        shape, weight = self._drawn[name][-1]
        self._drawn[name][-1] = shape, weight * factor[:, None]

    def edges(self, name: str, senders: Side, receivers: Side) -> Forest:
        """All edges of a kind; to be asked for when everything has been drawn."""
        drawn = self._drawn.get(name, [])
        shapes, weights = (tuple(part) for part in zip(*drawn)) if drawn else ((), ())
        return Forest(weights, shapes, self._size[senders], self._size[receivers])

    @property
    def rows(self) -> tuple[jax.Array, jax.Array]:
        """The rows of the users' and of the items' table, i32[N] and i32[M]."""
        return jnp.concatenate(self._ids["users"]), jnp.concatenate(self._ids["items"])

    @property
    def numbered(self) -> Batch:
        """The batch in numbers of its own."""
        return numbered(self.batch)


def drawn_history(growth: Growth, past: History, exclude_target: bool) -> Callable[[], History]:
    """Draws items of the batch's users; the history of what was drawn is made when everything has been.

    Args:
      growth: Draws.
      past: The histories, to be sampled.
      exclude_target: Whether a row's positive is left out, as `without_target` does where nothing is drawn: the rest
        weighs as a history of one item less.
    """
    users = growth.users
    growth.draw("history", past.edges, users, 0, "items", growth.batch.items if exclude_target else None)
    if exclude_target:
        count = past.count[users.ids]
        growth.scale("history", jnp.where(count > 1, (count / jnp.maximum(count - 1, 1)) ** past.exponent, 0.0))
    return lambda: past.replace(edges=growth.edges("history", "items", "users"), target_left_out=exclude_target)


def drawn_graph(growth: Growth, graph: Bipartite, depth: int, social: Neighbours | None = None):
    """Draws the neighbours of a batch's users and items over the graph of users and items, and of users' friends.

    Args:
      growth: Draws.
      graph: To be sampled.
      depth: Layers.
      social: Edges friend -> user, to be sampled.

    Returns:
      The drawn graph, and the drawn friends or None.
    """
    reached = [growth.users, growth.items]
    for step in range(depth):
        above, reached = reached, []
        for nodes in above:
            if nodes.kind == "items":
                reached.append(growth.draw("to_items", graph.to_items, nodes, step, "users"))
                continue
            reached.append(growth.draw("to_users", graph.to_users, nodes, step, "items"))
            if social is not None:
                reached.append(growth.draw("social", social, nodes, step, "users"))
    drawn = growth.edges("to_users", "items", "users"), growth.edges("to_items", "users", "items")
    friends = None if social is None else growth.edges("social", "users", "users")
    return graph.replace(to_users=drawn[0], to_items=drawn[1]), friends
