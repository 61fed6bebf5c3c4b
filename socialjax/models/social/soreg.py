"""SoReg: embeddings of friends stay close, weighted by similarity of taste (Ma, Zhou, Liu, Lyu, King, WSDM 2011).

Ranking form: the objective of `DotProductModel` in place of the squared error of ratings.
"""

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np

from socialjax.graph import edges
from socialjax.models.history import taken_items
from socialjax.models.parts import require_at_least
from socialjax.models.social.similarity import cosine, link_edges
from socialjax.models.social.social_mf import SocialMF, SocialMFSide, social_side
from socialjax.ops.propagate import diffusion, propagate
from socialjax.ranges import LogUniform


@dataclasses.dataclass(frozen=True)
class SoReg(SocialMF):
    """s = <p_a, q_i> + b_i, and in the loss, with weight 0.5 * social_weight, by `variant`

        individual: sum over friends b of sim(a, b) |p_a - p_b|^2      (Eq. 11; usually the stronger)
        average:    |p_a - sum of sim(a, b) p_b / sum of sim(a, b)|^2  (Eq. 9)

    Ma et al., WSDM 2011, with a ranking loss in place of the squared error of ratings (docs/tables.md).

    Attributes:
      variant: individual or average social regularisation, as above.
      similarity: sim(a, b): cosine of the training items, made (cosine + constant) / (1 + constant), which stays in [0,
        1]; or one for every link, which averaged is SocialMF.
      constant: Added to the cosine, at least 0. 1 is (similarity + link) / 2 of published code, 0 drops links between
        users with no item in common.
      social_weight: Weight of the social regularisation, at least 0.
      symmetric: Whether links count in both directions; the individual term summed over all users then counts every
        link twice. False keeps the file's: a's friends are whom a follows.
    """

    search_space: ClassVar = {"social_weight": LogUniform(0.01, 1.0)}

    variant: Literal["individual", "average"] = "individual"
    similarity: Literal["cosine", "one"] = "cosine"
    constant: float = 1.0
    social_weight: float = 0.3

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, constant=0)

    def prepare(self, columns) -> SocialMFSide:
        self.check(columns)
        n, graph = columns.num_users, link_edges(columns, self.symmetric)
        if self.similarity == "cosine":
            similarity = cosine(taken_items(columns), graph.receivers, graph.senders)
            graph = dataclasses.replace(graph, weight=np.float32((similarity + self.constant) / (1 + self.constant)))
        kept = graph.weight > 0
        graph = edges(graph.senders[kept], graph.receivers[kept], n, n, graph.weight[kept])
        if self.variant == "average":
            total = np.bincount(graph.receivers, graph.weight, n)
            graph = dataclasses.replace(graph, weight=np.float32(graph.weight / total[graph.receivers]))
        return social_side(diffusion(graph), columns.num_items)

    def distance(self, users, side: SocialMFSide):
        """The individual sum, written out: |p_a|^2 sum_b sim - 2 <p_a, sum_b sim p_b> + sum_b sim |p_b|^2."""
        if self.variant == "average":
            return super().distance(users, side)
        norms = jnp.sum(users**2, axis=1, keepdims=True)
        aggregated = propagate(side.social, jnp.concatenate([users, norms], axis=1))
        return side.total * norms[:, 0] - 2 * jnp.sum(users * aggregated[:, :-1], axis=1) + aggregated[:, -1]
