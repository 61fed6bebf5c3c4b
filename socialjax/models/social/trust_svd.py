"""TrustSVD: SVD++ with the users one trusts as further implicit feedback (Guo, Zhang, Yorke-Smith, AAAI 2015).

Ranking form: the objective of `DotProductModel` in place of the squared error of ratings; user bias and global mean
cancel.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import OF_USERS, Batch, LogUniform, Traits
from socialjax.models.history import History, elements, history, pool, without_target
from socialjax.models.parts import DotProductModel, Factors, pair_dot, require_at_least
from socialjax.models.social.shared import friends
from socialjax.ops import sample


@struct.dataclass
class TrustSVDSide:
    """Histories and trust links.

    Attributes:
      past: Edges item -> user with weight |R_a|^-1/2.
      trust: Edges trustee -> user with weight |S_a|^-1/2.
      linked: The trustees of each user and the user, in the form from which users who are not among them are drawn.
      item_count: f32[I], |R_i|.
      trusted_by: f32[U], |S_b^+|.
    """

    past: History
    trust: History
    linked: sample.Positives
    item_count: jax.Array
    trusted_by: jax.Array


@struct.dataclass
class TrustSVDState(Factors):
    """Factors, and what the users' are computed from.

    Attributes:
      pooled: f32[U, D], the pooled histories.
      implicit: f32[I, D], y, which they pool.
      trusted: f32[U, D], the pooled trustees.
      trustees: f32[U, D], w, which they pool.
    """

    pooled: jax.Array
    implicit: jax.Array
    trusted: jax.Array
    trustees: jax.Array


@dataclasses.dataclass(frozen=True)
class TrustSVD(DotProductModel):
    """s = b_i + <q_i, p_a + |R_a|^-1/2 * sum of y_j over R_a + |S_a|^-1/2 * sum of w_b over S_a>.

    Guo, Zhang and Yorke-Smith, AAAI 2015, with a ranking loss in place of the squared error of ratings
    (docs/tables.md). S_a are the users whom a follows. In the loss, trust is rebuilt from p and w: each row draws one
    of all links, a to b, and one user c whom a does not follow, and adds 0.5 * trust_weight * ((<w_b, p_a> - 1)^2 +
    <w_c, p_a>^2). Without non-links the term, in which every observed trust is 1, could be met by long vectors. Links
    are drawn uniformly, so that, as in the paper, each counts once and users without training pairs learn from theirs;
    the mean over rows is the mean over links where the paper has the sum. Without links there is no such term.

    Attributes:
      trust_weight: lambda_t, weight of the reconstruction of trust, at least 0.
      weighted_l2: Whether L2 is the paper's, where a vector used n times weighs n^-1/2 (|R_a| and, times 0.5 *
        lambda_t, |S_a| for p_a; |R_i| for q_i, b_i, y_i; |S_b^+| for w_b) and l2 is half its lambda; False is plain L2.
        Either acts on the rows of the batch and their links, so that p_a has its items in the first part and its links
        in the second.
      symmetric: Whether links count in both directions.
      exclude_target: Whether the training item is left out of the history that scores it. Evaluation pools the whole
        history.
    """

    traits: ClassVar[Traits] = Traits(needs=("links",), new_users=True)
    search_space: ClassVar = {"trust_weight": LogUniform(0.01, 1.0)}

    trust_weight: float = 0.1
    weighted_l2: bool = True
    symmetric: bool = False
    exclude_target: bool = True

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, trust_weight=0)

    def prepare(self, columns) -> TrustSVDSide:
        self.check(columns)
        n = columns.num_users
        social, past = friends(columns, self.symmetric, how="sqrt"), history(columns, 0.5)
        count = np.bincount(social.receivers, minlength=n)
        everyone = np.arange(n)
        linked = sample.positives(
            np.concatenate([social.receivers, everyone]), np.concatenate([social.senders, everyone]), n, n
        )
        return TrustSVDSide(
            past=past,
            trust=History(social, count.astype(np.float32), 0.5),
            linked=linked,
            item_count=np.bincount(past.edges.senders, minlength=columns.num_items).astype(np.float32),
            trusted_by=np.bincount(social.senders, minlength=n).astype(np.float32),
        )

    def _layers(self, side: TrustSVDSide) -> "TrustSVDLayers":
        return TrustSVDLayers(self, side.past.edges.num_receivers, side.past.edges.num_senders)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def encode(self, params, side) -> TrustSVDState:
        return self._layers(side).apply({"params": params}, side)

    def squared_norms(self, params):
        """Plain L2: p_a of the user; q_i, b_i and y_i of the item. The weighted form is in `penalty`."""
        users, items = self.table_norms(params["tables"])
        items = items + jnp.sum(params["implicit"] ** 2, axis=1)
        return (jnp.zeros_like(users), jnp.zeros_like(items)) if self.weighted_l2 else (users, items)

    def training_users(self, params, side: TrustSVDSide, state: TrustSVDState, batch: Batch):
        users = state.users[batch.users]
        if not self.exclude_target:
            return users
        return users + without_target(side.past, state.pooled, state.implicit, batch.users, batch.items)

    def penalty(self, params, side: TrustSVDSide, state, batch: Batch, rng):
        """Trust rebuilt, L2 of the vectors it uses, and the weighted L2 of all others: f32[B]."""
        total = jnp.zeros(batch.users.shape[0])
        if side.trust.edges.senders.size:
            total = self._trust(params["trustees"], params["tables"]["users"], side, batch, rng)
        if not self.weighted_l2:
            return total
        users, items = self.table_norms(params["tables"])
        items = inverse_sqrt(side.item_count) * (items + jnp.sum(params["implicit"] ** 2, axis=1))
        norms = (inverse_sqrt(side.past.count) * users)[batch.users] + items[batch.items]
        return total + self.l2 * (norms + jnp.mean(items[batch.negatives], axis=1))

    def _trust(self, trustees, users, side: TrustSVDSide, batch: Batch, rng):
        user, friend, stranger = sample_links(side, batch, rng)
        count, own = side.trust.count[user], users[user]
        w_friend, w_stranger = trustees[friend], trustees[stranger]
        # A user linked to all others has no non-link.
        apart = jnp.where(count + 1 < len(trustees), jnp.sum(w_stranger * own, axis=1), 0.0)
        missed = (jnp.sum(w_friend * own, axis=1) - 1) ** 2 + apart**2
        norms = [jnp.sum(w_friend**2, axis=1), jnp.sum(w_stranger**2, axis=1)]
        if self.weighted_l2:
            weight = inverse_sqrt(side.trusted_by)
            norms = [weight[friend] * norms[0], weight[stranger] * norms[1]]
            missed = missed + inverse_sqrt(count) * jnp.sum(own**2, axis=1)
        return 0.5 * self.trust_weight * missed + self.l2 * sum(norms)

    def explain(self, state: TrustSVDState, side: TrustSVDSide, users, items):
        """Parts `own_vector`, `history` and `trustees`, with what each item and each user in them adds, `item_bias`."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        towards = np.asarray(state.items)[items]
        pooled, trusted = np.asarray(state.pooled)[users], np.asarray(state.trusted)[users]
        parts = {
            "own_vector": pair_dot(np.asarray(state.users)[users] - pooled - trusted, towards),
            "history": pair_dot(pooled, towards),
            "trustees": pair_dot(trusted, towards),
        }
        elements_by_part = {
            "history": elements(side.past.edges, np.asarray(state.implicit), users, towards),
            "trustees": elements(side.trust.edges, np.asarray(state.trustees), users, towards, OF_USERS),
        }
        return self.explained(state, users, items, parts, elements_by_part)

    def new_user(self, state: TrustSVDState, side, items, friends):
        """|R|^-1/2 * sum of y_j over items + |S|^-1/2 * sum of w_b over friends, as of a user with p_a = 0."""
        pooled, trusted = (
            np.asarray(table)[ids].sum(axis=0) * max(len(ids), 1) ** -0.5
            for table, ids in ((state.implicit, items), (state.trustees, friends))
        )
        return (pooled + trusted).astype(np.float32)


def inverse_sqrt(count: jax.Array) -> jax.Array:
    """count^-1/2, and 1 where the count is 0."""
    return jnp.maximum(count, 1.0) ** -0.5


def sample_links(side: TrustSVDSide, batch: Batch, rng) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A random link for each row: the user who trusts, the trustee, and a user who is not trusted: i32[B] each."""
    key, links = sample.fold(rng, sample.OTHERS), side.trust.edges
    position = sample.below(sample.fold(key, batch.rows), links.senders.shape[0])
    user, friend = jnp.asarray(links.receivers)[position], jnp.asarray(links.senders)[position]
    return user, friend, sample.negatives(side.linked, key, user, batch.rows, 1)[:, 0]


class TrustSVDLayers(nn.Module):
    """User vectors of the score without the terms that depend on the user alone."""

    settings: TrustSVD
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: TrustSVDSide) -> TrustSVDState:
        settings = self.settings
        users, items, bias = settings.tables(self.num_users, self.num_items, name="tables")()
        implicit = self.param("implicit", settings.initializer, (self.num_items, settings.dim))
        trustees = self.param("trustees", settings.initializer, (self.num_users, settings.dim))
        pooled, trusted = pool(side.past, implicit), pool(side.trust, trustees)
        return TrustSVDState(users + pooled + trusted, items, bias, pooled, implicit, trusted, trustees)
