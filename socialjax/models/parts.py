"""What models have in common: embedding tables and the loss of sampled pairs, and of most, a score by dot products."""

import abc
import dataclasses
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Explanation, Model, Params, Side
from socialjax.ops import losses, sample
from socialjax.ops.lookup import candidate_scores


@struct.dataclass
class Factors:
    """Embeddings that a score is the dot product of.

    Attributes:
      users: f32[U, D].
      items: f32[I, D].
      item_bias: f32[I], zeros for a model without item bias.
    """

    users: jax.Array
    items: jax.Array
    item_bias: jax.Array


class Tables(nn.Module):
    """The table of free embeddings p_a, q_i and item biases b_i.

    Attributes:
      num_users: U.
      num_items: I.
      dim: Embedding size D.
      item_bias: Whether there is a bias for each item, which starts from 0.
      start: Initial distribution of the embeddings.
    """

    num_users: int
    num_items: int
    dim: int
    item_bias: bool
    start: nn.initializers.Initializer

    @nn.compact
    def __call__(self):
        """Returns users f32[U, D], items f32[I, D] and item_bias f32[I]."""
        start = self.start
        users = self.param("users", start, (self.num_users, self.dim))
        items = self.param("items", start, (self.num_items, self.dim))
        if not self.item_bias:
            return users, items, jnp.zeros(self.num_items)
        return users, items, self.param("item_bias", nn.initializers.zeros, (self.num_items,))


@dataclasses.dataclass(frozen=True)
class EmbeddingModel(Model):
    """Settings and functions of every model with free embeddings that is trained on sampled negatives.

    The score is <u_a, v_i> + b_i, to which `extra_scores` may add. A model implements `encode`, and where
    it needs them `training_state` (randomness inside the layers), `training_users` (vectors that differ in training),
    `extra_scores` and `penalty` (further terms of the loss).

    Attributes:
      dim: Embedding size D, at least 1.
      objective: Loss of a positive against its sampled negatives: bpr, softmax, bce, squared, or one that another
        package registers; see `ops/losses.py`.
      negatives: Items sampled for each training pair, uniformly over those the user did not take; at least 1.
      temperature: Divides the scores in the softmax objective; other objectives ignore it.
      l2: Lambda on the squared norms of the free embeddings of a batch's users and items, a mean over its rows. A row's
        negatives count as their mean, so that lambda means the same for any number of them.
      dropout: Share of the numbers of a user's vector set to zero in training, in [0, 1).
      item_bias: Whether the score has a bias b_i for each item.
      start: Initial distribution of the free embeddings: normal, with deviation init_std, or xavier, uniform with
        variance 2 / (rows + D) (Glorot and Bengio, AISTATS 2010).
      init_std: Standard deviation of the free embeddings when start is normal.
    """

    dim: int = 64
    objective: losses.Objective = "bpr"
    negatives: int = 1
    temperature: float = 1.0
    l2: float = 0.02
    dropout: float = 0.0
    item_bias: bool = True
    start: typing.Literal["normal", "xavier"] = "normal"
    init_std: float = 0.01

    def __post_init__(self):
        for field in dataclasses.fields(self):  # a misspelt choice must not fall through to another one
            value, choices = getattr(self, field.name), typing.get_args(field.type)
            if typing.get_origin(field.type) is typing.Literal and value not in choices:
                raise ValueError(f"{field.name} must be one of {', '.join(choices)}, got {value!r}")
        losses.check_name(self.objective)
        require_at_least(self, dim=1, negatives=1, l2=0, temperature=1e-6, init_std=0)
        require_share(self, "dropout")

    @property
    def initializer(self) -> nn.initializers.Initializer:
        """Of free embeddings, see `start`."""
        return nn.initializers.xavier_uniform() if self.start == "xavier" else nn.initializers.normal(self.init_std)

    def tables(self, num_users: int, num_items: int, name: str | None = None) -> Tables:
        """The free embeddings with this model's settings."""
        return Tables(num_users, num_items, self.dim, self.item_bias, self.initializer, name=name)

    def table_norms(self, tables: Params) -> tuple[jax.Array, jax.Array]:
        """Squared norms of what `Tables` holds for each user, p_a, and each item, q_i and b_i: f32[U], f32[I]."""
        items = jnp.sum(tables["items"] ** 2, axis=1)
        if self.item_bias:
            items = items + tables["item_bias"] ** 2
        return jnp.sum(tables["users"] ** 2, axis=1), items

    @abc.abstractmethod
    def encode(self, params: Params, side: Side) -> Factors: ...

    def training_state(self, params: Params, side: Side, rng) -> Factors:
        """What `encode` gives; models that drop nodes or edges in training do it here, from `rng` alone."""
        return self.encode(params, side)

    @abc.abstractmethod
    def squared_norms(self, params: Params) -> tuple[jax.Array, jax.Array]:
        """Squared norms of the regularised numbers that belong to each user and each item: f32[U], f32[I]."""

    def training_users(self, params: Params, side: Side, state: Factors, batch: Batch) -> jax.Array:
        """User vectors of the batch's rows, f32[B, D]. Models that pool a user's history can leave the target out."""
        return batch.of_users(state.users)

    def penalty(self, params: Params, side: Side, state: Factors, batch: Batch, rng) -> jax.Array | None:
        """A further term of the loss, f32[B]; the term of a row must not depend on the other rows of the batch."""
        return None

    def extra_scores(self, state: Factors, side: Side, batch: Batch, candidates: jax.Array) -> jax.Array | None:
        """Further terms of the training scores, f32[B, C], beside <u_a, v_i> + b_i.

        Args:
          state: As `training_state` gives it.
          side: The fixed data.
          batch: B training pairs.
          candidates: i32[B, C], the batch's items in the first column.
        """
        return None

    def explained(self, state: Factors, users, items, parts: dict, elements: dict, labels=None) -> Explanation:
        """The explanation of pairs whose <u_a, v_i> is the sum of `parts`; the item bias is added as one more part.

        Args:
          state: Gives the item bias.
          users: i32[P].
          items: i32[P].
          parts: Name -> f32[P].
          elements: Name -> `Ragged`, the elements of the parts.
          labels: Names for readers of parts without elements.
        """
        if self.item_bias:
            parts = {**parts, "item_bias": np.asarray(state.item_bias)[items]}
        score = np.sum(np.stack(list(parts.values())), axis=0, dtype=np.float64).astype(np.float32)
        return Explanation(users, items, score, parts, elements, labels or {})

    def loss(self, params: Params, side: Side, batch: Batch, rng):
        """Objective, l2 and penalty of the pairs, summed over the rows that are no padding; see `Model.loss`."""
        state = self.training_state(params, side, rng)
        candidates = jnp.concatenate([batch.items[:, None], batch.negatives], axis=1)
        users = self.training_users(params, side, state, batch)
        users = sample.dropout(rng, users, batch.rows, self.dropout)
        scores = batch_scores(users, state, batch, candidates)
        extra = self.extra_scores(state, side, batch, candidates)
        scores = scores if extra is None else scores + extra
        loss = losses.objective(self.objective, scores[:, 0], scores[:, 1:], self.temperature)
        user_norms, item_norms = self.squared_norms(params)
        of_negatives = jnp.mean(batch.of_negatives(item_norms), axis=1)
        norms = batch.of_users(user_norms) + batch.of_items(item_norms) + of_negatives
        penalty = self.penalty(params, side, state, batch, rng)
        total = jnp.sum(batch.weight * (loss + self.l2 * norms + (0.0 if penalty is None else penalty)))
        return (total, jnp.sum(batch.weight)), {"objective": jnp.sum(batch.weight * loss)}


@dataclasses.dataclass(frozen=True)
class DotProductModel(EmbeddingModel):
    """An `EmbeddingModel` whose score is <u_a, v_i> + b_i alone, so that a whole catalogue is one product."""

    def vectors(self, state: Factors):
        return state.users, state.items, state.item_bias

    def score(self, state: Factors, users, items):
        return dot_scores(state, users, items)

    def explain(self, state: Factors, side: Side, users, items) -> Explanation:
        """Parts `taste`, <u_a, v_i>, and `item_bias`."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        taste = pair_dot(np.asarray(state.users)[users], np.asarray(state.items)[items])
        return self.explained(state, users, items, {"taste": taste}, {})

    def new_user(self, state: Factors, side: Side, items: np.ndarray, friends: np.ndarray) -> np.ndarray:
        """Embedding of an untrained user, by ridge regression on the trained items.

        The targets are 1 for the user's items and 0 for all others, which together weigh as much as these. The solution
        is scaled to the median length of the trained users' embeddings, so that taste and item bias keep the proportion
        that they have for those. On Yelp the users of a trained BPR, estimated like this from their training items,
        rank a little better than by their own embeddings.

        Args:
          state: Trained embeddings.
          side: The fixed data.
          items: i32[N], the items that the user took.
          friends: i32[M], which social models read.

        Returns:
          f32[D], zeros without items.
        """
        vectors = np.asarray(state.items, np.float64)
        if not len(items):
            return np.zeros(vectors.shape[1], np.float32)
        taken = vectors[items]
        gram = taken.T @ taken + len(items) / len(vectors) * (vectors.T @ vectors)
        ridge = np.trace(gram) / len(gram) + 1e-12  # as large as the mean eigenvalue
        vector = np.linalg.solve(gram + ridge * np.eye(len(gram)), taken.sum(axis=0))
        usual = np.median(np.linalg.norm(np.asarray(state.users), axis=1))
        return (vector * usual / max(np.linalg.norm(vector), 1e-12)).astype(np.float32)


def batch_scores(users: jax.Array, state: Factors, batch: Batch, candidates: jax.Array) -> jax.Array:
    """<u, v_i> + b_i of each row's user vector f32[B, D] and its candidates i32[B, 1 + n]: f32[B, 1 + n]."""
    if batch.spread is not None:
        return batch.spread.scores(users, state.items, candidates) + batch.rows_of(state.item_bias, candidates)
    if not batch.local:
        return candidate_scores(users, state.items, candidates) + state.item_bias[candidates]
    size, count = batch.negatives.shape
    # A column at a time: with an axis of candidates XLA's CPU backend takes twice as long.
    of_columns = [state.items[k * size : (k + 1) * size] for k in range(1 + count)]
    scores = jnp.stack([jnp.sum(users * vectors, axis=1) for vectors in of_columns], axis=1)
    return scores + state.item_bias[: size * (1 + count)].reshape(1 + count, size).T


def named_rows(users, items, item_bias: bool, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], jax.Array]:
    """Rows of users i32[N] and items i32[M] under the names of `Tables` at `path`."""
    rows = {(*path, "users"): users, (*path, "items"): items}
    return rows | {(*path, "item_bias"): items} if item_bias else rows


def dot_scores(state: Factors, users: jax.Array, items: jax.Array) -> jax.Array:
    """The scores <u_a, v_i> + b_i of users i32[B] with items i32[B, C]: f32[B, C]."""
    scores = candidate_scores(state.users[users], state.items, items)
    return scores + state.item_bias[items]


def require_at_least(settings: Model, **least: float) -> None:
    """Raises ValueError for a field, such as dim=1, that is below its bound or not a number."""
    for field, bound in least.items():
        if not getattr(settings, field) >= bound:
            raise ValueError(f"{field} must be at least {bound}, got {getattr(settings, field)}")


def require_share(settings: Model, *fields: str) -> None:
    """Raises ValueError for a field outside [0, 1)."""
    for field in fields:
        if not 0 <= getattr(settings, field) < 1:
            raise ValueError(f"{field} must be in [0, 1), got {getattr(settings, field)}")


def require_depth(settings: Model) -> None:
    """Raises ValueError for a field `depth`, the number of layers, outside 0..8."""
    if not 0 <= settings.depth <= 8:
        raise ValueError(f"depth must be in 0..8, got {settings.depth}")


def pair_dot(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Row by row <left, right>: f32[P, D] twice -> f32[P], summed in double precision on the host."""
    return np.einsum("pd,pd->p", left.astype(np.float64), right.astype(np.float64)).astype(np.float32)


WEIGHTS = ("kernel", "head")  # not biases, and not the numbers that belong to an edge


def weight_penalty(params: Params, strengths: dict[str, float], batch: Batch) -> jax.Array | None:
    """The sum over modules of strength times the squared norm of their weights, the same in each row.

    Args:
      params: Module name -> parameters, nested or not.
      strengths: Module name -> lambda; modules that `params` lacks are skipped.
      batch: Gives the number of rows.

    Returns:
      f32[B], or None where nothing is penalised.
    """
    terms = [
        strength * squared_norm(params[name]) for name, strength in strengths.items() if strength and name in params
    ]
    return jnp.broadcast_to(sum(terms), batch.users.shape) if terms else None


def squared_norm(params: Params) -> jax.Array:
    """Sum of squares of all weights under `params`."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return sum(jnp.sum(leaf**2) for path, leaf in leaves if path[-1].key in WEIGHTS)
