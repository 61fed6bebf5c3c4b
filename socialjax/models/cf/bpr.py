"""Matrix factorisation under a ranking loss (Rendle, Freudenthaler, Gantner, Schmidt-Thieme: BPR, UAI 2009)."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from socialjax.models.parts import FactorModel, Factors, Tables


@struct.dataclass
class Sizes:
    """All that matrix factorisation reads of the data: how many users and items there are."""

    num_users: int = struct.field(pytree_node=False)
    num_items: int = struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class BPR(FactorModel):
    """s = <p_a, q_i> + b_i. `objective` defaults to BPR; others make it plain matrix factorisation with that loss."""

    def prepare(self, columns) -> Sizes:
        return Sizes(columns.num_users, columns.num_items)

    def _tables(self, side: Sizes) -> Tables:
        return Tables(side.num_users, side.num_items, self.dim, self.item_bias, self.init_std)

    def init(self, rng, side):
        return self._tables(side).init(rng)["params"]

    def encode(self, params, side) -> Factors:
        return Factors(*self._tables(side).apply({"params": params}))

    def squared_norms(self, params) -> tuple[jax.Array, jax.Array]:
        items = jnp.sum(params["items"] ** 2, axis=1)
        if self.item_bias:
            items = items + params["item_bias"] ** 2
        return jnp.sum(params["users"] ** 2, axis=1), items
