"""How anyone's own files are read and split, and what a split reached."""

import dataclasses
import math
from typing import Literal

import numpy as np

from socialjax.data import split as splits
from socialjax.data import validate
from socialjax.data.own.table_columns import Chosen, chosen_columns
from socialjax.data.schema import Dataset, no_interactions, stated
from socialjax.formats.file_bytes import DataError
from socialjax.formats.text_layout import Layout, Separator
from socialjax.graph import isin_ints, unique_ints


@dataclasses.dataclass(frozen=True)
class FolderOptions:
    """How a folder is read. Files that are split already take `min_value`, `validation`, `seed` and ratios[0] alone.

    Attributes:
      split: How pairs are split. auto: the parts if the folder has them; else by ratio if ratios are given; else each
        user's last pair (by time if there are times, else at random) goes to test, the one before it to validation, and
        as many more to validation as make 5 % of all or 200.
      ratios: Shares of validation and test; the first is also the share taken from train when validation is missing.
      k_core: Keep only users and items with at least so many pairs among each other; 0 keeps all.
      min_value: Pairs with a smaller value are dropped; None keeps every pair.
      columns: Columns of the tables by name, or number from 1 on, as ROLE=COLUMN: user=member item=sku value=stars
        time=- where - says that there is none. Roles are user, item, value, time, part, follower, followee, owner,
        title.
      separator: What separates columns, where it is not found by itself.
      encoding: Of text files.
      repeats: Which of several lines of a user and an item counts: the first by time or the last. Without times it is
        that of the largest value.
      cold_users: keep counts test pairs of users without a training pair in every mean; drop leaves them out.
      validation: auto makes the part from train when it is missing; none leaves its pairs in train.
      seed: Seed of the split and of the cold items.
      cold_items: Share of the items, in [0, 1), whose pairs all go to test.
    """

    split: Literal["auto", "ratio", "leave-one-out", "time"] = "auto"
    ratios: tuple[float, float] = splits.DIFFNET_RATIOS
    k_core: int = 0
    min_value: float | None = None
    validation: Literal["auto", "none"] = "auto"
    seed: int = 0
    cold_items: float = 0.0
    columns: tuple[str, ...] = ()
    separator: Separator = "auto"
    encoding: str = "utf-8"
    repeats: Literal["first", "last"] = "first"
    cold_users: Literal["keep", "drop"] = "keep"

    def __post_init__(self):
        if self.split not in ("auto", "ratio", "leave-one-out", "time") or self.validation not in ("auto", "none"):
            raise DataError(f"split must be auto, ratio, leave-one-out or time, validation auto or none, got {self}")
        if self.k_core < 0 or not 0 <= self.cold_items < 1:
            raise DataError(f"k_core must be 0 or more and cold_items in 0..1, got {self.k_core}, {self.cold_items}")
        if self.min_value is not None and not math.isfinite(self.min_value):
            raise DataError(f"min_value must be a finite number, got {self.min_value}")
        splits.check_ratios(self.ratios)
        if self.split == "leave-one-out" and tuple(self.ratios) != splits.DIFFNET_RATIOS:
            raise DataError(
                f"ratios have no effect on a split by leave-one-out, got {self.ratios}; leave one of the two out"
            )
        for name, allowed in (("repeats", ("first", "last")), ("cold_users", ("keep", "drop"))):
            if getattr(self, name) not in allowed:
                raise DataError(f"{name} must be {' or '.join(allowed)}, got {getattr(self, name)!r}")
        chosen_columns(self.columns)

    @property
    def chosen(self) -> Chosen:
        """Columns and layout, as readers of tables take them."""
        return Chosen(chosen_columns(self.columns), Layout(self.separator, self.encoding))


def split(data: Dataset, options: FolderOptions) -> Dataset:
    """Splits train, which holds all pairs, by the options, and states it in the provenance."""
    how = options.split
    if how == "auto":
        how = "ratio" if tuple(options.ratios) != splits.DIFFNET_RATIOS else "leave-one-out"
    if how == "time":
        parts = splits.by_time(data.train, options.ratios)
    elif how == "ratio":
        parts = splits.by_ratio(data.train, options.ratios, options.seed)
    else:
        least = enough(len(data.train)) if options.split == "auto" else 0
        parts = splits.leave_one_out(data.train, options.seed, least=least)
    if not len(parts.test):
        raise DataError(
            f"data set '{data.name}': wanted test pairs, got none from a split by {how} of {len(data.train)} pairs; "
            "raise the share of test pairs (--data.ratios), or use --data.split leave-one-out"
        )
    order = "by time" if data.train.time is not None else "at random"
    note = f"one file split by {how}" + (
        f", the last of each user {order}" if how == "leave-one-out" else f" {options.ratios}"
    )
    if options.cold_items:
        parts = splits.cold_items(parts, options.cold_items, options.seed)
        note += f", {options.cold_items:g} of the items in test only"
    data = dataclasses.replace(data, train=parts.train, validation=parts.validation, test=parts.test)
    return stated(data, f"{note}, seed {options.seed}")


def enough(number: int) -> int:
    """How many validation pairs choose an epoch well: 5 % of all, 200 at most."""
    return min(200, math.ceil(number / 20))


def with_validation(data: Dataset, options: FolderOptions) -> Dataset:
    """`data` with validation pairs taken from each user's training pairs: the share of the options, and more of each
    user until they are enough."""
    ratio = options.ratios[0]
    train, validation = splits.hold_out_validation(data.train, ratio, options.seed)
    note = f"{len(validation)} pairs taken from train, {ratio:g} of each user's, seed {options.seed}"
    if len(validation) < enough(len(data.train)):
        train, validation = splits.hold_out_last(data.train, options.seed, enough(len(data.train)))
        note = f"{len(validation)} pairs taken from train, at least one of each user with two, seed {options.seed}"
    return stated(dataclasses.replace(data, train=train, validation=validation), f"no validation given: {note}")


def state_reach(data: Dataset, options: FolderOptions) -> Dataset:
    """`data` with what its split reaches: who is tested, how many pairs choose the epoch, who is cold. Test pairs of
    users without training pairs are left out where the options say so."""
    known = isin_ints(data.test.user.astype(np.int64), unique_ints(data.train.user.astype(np.int64)))
    notes = []
    if not known.all():
        cold = len(np.unique(data.test.user[~known]))
        what = f"{(~known).sum()} of {len(known)} test pairs, of {cold} users without a training pair,"
        if options.cold_users == "drop":
            data = dataclasses.replace(data, test=data.test.take(known))
            notes.append(f"{what} left out (--data.cold-users drop)")
        else:
            notes.append(f"{what} count in every mean; --data.cold-users drop leaves them out")
    if not len(data.test):
        raise DataError(
            f"data set '{data.name}': wanted test pairs of users with training pairs, got none; keep cold users"
        )
    count = sum(np.bincount(part.user, minlength=data.num_users) for part in data.parts().values())
    several, tested = count >= 2, np.bincount(data.test.user, minlength=data.num_users) > 0
    total, validation = int(count.sum()), len(data.validation)
    few = "" if 2 * (several & tested).sum() >= several.sum() else ": fewer than half; another --data.split tests more"
    notes.append(f"test: {(several & tested).sum()} of {several.sum()} users with two pairs or more{few}")
    short = "" if validation >= enough(total) else ": few, so that the choice of the epoch is a matter of chance"
    share = validation / total
    if options.validation == "auto":
        notes.append(
            f"validation: {validation} pairs, {share:.1%}, of {len(np.unique(data.validation.user))} users{short}"
        )
    return stated(data, *notes)


def finish(data: Dataset, options: FolderOptions) -> Dataset:
    """`data` with its validation part by the options, with what its split reaches, and checked. Raises DataError."""
    if options.validation == "none":
        train = splits.concatenate([data.train, data.validation])
        data = dataclasses.replace(data, train=train, validation=no_interactions())
    elif not len(data.validation) and options.ratios[0] > 0:
        data = with_validation(data, options)
    data = state_reach(data, options)
    validate.check(data)
    return data
