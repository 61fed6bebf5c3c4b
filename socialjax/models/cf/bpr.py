"""Matrix factorisation under a ranking loss (Rendle, Freudenthaler, Gantner, Schmidt-Thieme: BPR, UAI 2009)."""

import dataclasses
from typing import ClassVar

from flax import struct

from socialjax.contract import Batch, Touched, Traits, batch_items, numbered
from socialjax.models.parts import DotProductModel, Factors, named_rows


@struct.dataclass
class Sizes:
    """All that matrix factorisation reads of the data.

    Attributes:
      num_users: U.
      num_items: I.
    """

    num_users: int = struct.field(pytree_node=False)
    num_items: int = struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class BPR(DotProductModel):
    """s = <p_a, q_i> + b_i, trained by sum of -ln sigmoid(s_ai - s_aj) (Rendle et al., UAI 2009, BPR-OPT).

    Other objectives make it plain matrix factorisation with that loss. docs/tables.md lists the models and how they are
    compared. All settings are those of `DotProductModel`.
    """

    traits: ClassVar[Traits] = Traits(new_users=True)

    def prepare(self, columns) -> Sizes:
        return Sizes(columns.num_users, columns.num_items)

    def init(self, rng, side):
        return self.tables(side.num_users, side.num_items).init(rng)["params"]

    def touched(self, side: Sizes, batch: Batch, rng) -> Touched:
        users, items = batch.users, batch_items(batch)
        return Touched(named_rows(users, items, self.item_bias), Sizes(len(users), len(items)), numbered(batch))

    def encode(self, params, side) -> Factors:
        return Factors(*self.tables(side.num_users, side.num_items).apply({"params": params}))

    def squared_norms(self, params):
        return self.table_norms(params)
