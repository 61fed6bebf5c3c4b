"""Ranking metrics of each user from counts, exact in expectation over the order of tied scores, and tables of them.

A positive with `above` candidates scored higher is one of `block` candidates of equal score, `tied` negatives and m =
block - tied - 1 other positives; in a random order its place (from 0) is uniform on above .. above + block - 1.
With T positives and 1 / log2(place + 2) as the discount:

    Hit@K        1 if a positive is among the first K          Recall@K     hits / T
    HR@K         hits / min(T, K), as in DiffNet's code        Precision@K  hits / K
    NDCG@K       sum of the hits' discounts / its value for the first min(T, K) places
    MRR@K        1 / (place + 1) of the first positive, 0 beyond K
    MAP@K        sum over hits of (hits up to and with this one) / (place + 1), divided by min(T, K)
    AUC          share of (positive, negative) pairs in the right order, a tie is half; 0.5 without negatives

Krichene and Rendle, KDD 2020, discuss these metrics and the effect of sampled negatives on them.
"""

import dataclasses
import html
from collections.abc import Mapping, Sequence

import numpy as np

from socialjax.data.schema import Interactions, pair_keys
from socialjax.graph import unique_ints
from socialjax.names import visible


@dataclasses.dataclass(frozen=True)
class Rows:
    """Items of users as ragged rows: row r is items[offsets[r]:offsets[r + 1]], ascending, each item once.

    Attributes:
      offsets: i64[R + 1].
      items: i32[T].
    """

    offsets: np.ndarray
    items: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> np.ndarray:
        """The number of items of each row, i64[R]."""
        return np.diff(self.offsets)

    def owners(self) -> np.ndarray:
        """The row of every item, i64[T]."""
        return np.repeat(np.arange(len(self)), self.lengths())

    def take(self, rows: np.ndarray) -> "Rows":
        """The given rows i64[B], in that order, also repeatedly."""
        lengths = self.lengths()[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        where = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Rows(offsets, self.items[where])


def rows_of(parts: Sequence[Interactions], num_users: int, num_items: int) -> Rows:
    """The items that each user took in any of the parts; one row per user 0..num_users - 1."""
    keys = np.concatenate([np.zeros(0, np.int64), *(pair_keys(part, num_items) for part in parts)])
    users, items = np.divmod(unique_ints(keys), num_items)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=num_users))])
    return Rows(offsets.astype(np.int64), items.astype(np.int32))


def joined(first: Rows, second: Rows) -> Rows:
    """Row by row the items of either, each once."""
    size = int(max(first.items.max(initial=0), second.items.max(initial=0))) + 1
    keys = np.concatenate([rows.owners() * size + rows.items for rows in (first, second)])
    owners, items = np.divmod(unique_ints(keys), size)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(first)))])
    return Rows(offsets.astype(np.int64), items.astype(np.int32))


@dataclasses.dataclass(frozen=True)
class Counts:
    """The ranks of positives among negatives.

    Attributes:
      offsets: i64[U + 1]; user r has the positives offsets[r]..offsets[r + 1] - 1, at least one.
      score: f32[P], of each positive.
      higher: i32[P], negatives that score higher than the positive.
      tied: i32[P], negatives that score exactly as the positive.
      num_negatives: i64[U].
    """

    offsets: np.ndarray
    score: np.ndarray
    higher: np.ndarray
    tied: np.ndarray
    num_negatives: np.ndarray


@dataclasses.dataclass(frozen=True)
class Positives:
    """What the metrics of a result were computed from.

    Attributes:
      items: i32[P], the item of each positive.
      counts: The ranks of the positives.
      ks: The cut-offs.
    """

    items: np.ndarray
    counts: Counts
    ks: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Result:
    """Metrics of one evaluation.

    Attributes:
      protocol: Name of the protocol.
      part: validation or test.
      users: i32[U], the evaluated users.
      per_user: Name such as `NDCG@10` -> f32[U].
      positives: What the metrics were computed from, for `among`; None where it was not kept.
    """

    protocol: str
    part: str
    users: np.ndarray
    per_user: dict[str, np.ndarray]
    positives: Positives | None = None

    def mean(self) -> dict[str, float]:
        """The unweighted mean over the evaluated users."""
        return {name: float(values.mean(dtype=np.float64)) for name, values in self.per_user.items()}

    def among(self, is_chosen: np.ndarray) -> "Result":
        """The metrics of some of the items: other positives are removed from the candidates.

        Args:
          is_chosen: bool[I].

        Returns:
          A result on the users who have such a positive.

        Raises:
          ValueError: for a result without positives and for too few items.
        """
        if self.positives is None:
            raise ValueError("this result has no positives to choose from; take one that ranking.evaluate returned")
        items = self.positives.items
        if len(is_chosen) <= items.max(initial=-1):
            raise ValueError(f"is_chosen must cover item {items.max()}, got {len(is_chosen)} entries; give all items")
        keep = np.asarray(is_chosen, bool)[items]
        rows, counts = _subset_counts(self.positives.counts, keep)
        chosen = Positives(items[keep], counts, self.positives.ks)
        return Result(self.protocol, self.part, self.users[rows], per_user(counts, chosen.ks), chosen)


def per_user(counts: Counts, ks: Sequence[int]) -> dict[str, np.ndarray]:
    """Every metric of each user.

    Args:
      counts: The ranks of the positives of U users.
      ks: The cut-offs.

    Returns:
      `HR@5`, ..., `AUC` -> f32[U].

    Raises:
      ValueError: when the score of a positive is not finite.
    """
    if not np.isfinite(counts.score).all():
        raise ValueError(
            f"scores of positives must be finite, {np.count_nonzero(~np.isfinite(counts.score))} of "
            f"{len(counts.score)} are not; look at the parameters, training has probably diverged"
        )
    num_positives = np.diff(counts.offsets)
    owner = np.repeat(np.arange(len(num_positives)), num_positives)
    positives_above, positives_tied, first = _among_positives(counts, owner)
    above, block = counts.higher + positives_above, counts.tied + positives_tied
    total = lambda values: np.bincount(owner, weights=values, minlength=len(num_positives))  # noqa: E731

    places = np.arange(max(ks))
    discounts, reciprocals = _prefix(1 / np.log2(places + 2)), _prefix(1 / (places + 1))
    none_before, first_reciprocal = _first_positive(above[first], counts.tied[first], block[first], max(ks))
    users = np.arange(len(num_positives))
    # Of the other positives in the block, this share of the places before this one is expected to be taken.
    share = (positives_tied - 1) / np.maximum(block - 1, 1)

    out = {}
    for k in ks:
        reach = np.clip(k - above, 0, block)  # places of the block that lie within the first K
        start = np.minimum(above, k)
        ideal = np.minimum(num_positives, k)
        hits = total(reach / block)
        gain = (discounts[start + reach] - discounts[start]) / block
        # sum over places r of (positives_above + 1 + share (r - above)) / (r + 1)
        harmonic = reciprocals[start + reach] - reciprocals[start]
        precision = ((positives_above + 1 - share * (above + 1)) * harmonic + share * reach) / block
        values = {
            "HR": hits / ideal,
            "Hit": 1 - none_before[users, reach[first]],
            "Recall": hits / num_positives,
            "Precision": hits / k,
            "NDCG": total(gain) / discounts[ideal],
            "MRR": first_reciprocal[users, reach[first]],
            "MAP": total(precision) / ideal,
        }
        out.update({f"{name}@{k}": value.astype(np.float32) for name, value in values.items()})
    wrong = total(counts.higher + counts.tied / 2) / num_positives / np.maximum(counts.num_negatives, 1)
    out["AUC"] = np.where(counts.num_negatives > 0, 1 - wrong, 0.5).astype(np.float32)
    return out


def _subset_counts(counts: Counts, keep: np.ndarray) -> tuple[np.ndarray, Counts]:
    """Rows with a positive to keep, bool[P], and their counts of these positives."""
    owner = np.repeat(np.arange(len(counts.offsets) - 1), np.diff(counts.offsets))[keep]
    rows, lengths = np.unique(owner, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    columns = (column[keep] for column in (counts.score, counts.higher, counts.tied))
    return rows, Counts(offsets, *columns, counts.num_negatives[rows])


def _among_positives(counts: Counts, owner: np.ndarray):
    """Positives of the same user with a higher score and with this score, i64[P], and the best of each user, i64[U]."""
    order = np.lexsort((-counts.score, owner))
    score, user = counts.score[order], owner[order]
    opens = np.ones(len(order), bool)
    opens[1:] = (user[1:] != user[:-1]) | (score[1:] != score[:-1])
    block = np.cumsum(opens) - 1
    start = np.flatnonzero(opens)
    above, tied = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    above[order] = start[block] - counts.offsets[user]
    tied[order] = np.bincount(block)[block]
    return above, tied, order[counts.offsets[:-1]]


def _first_positive(above, tied, block, longest: int):
    """The first positive in the block of candidates that score as each user's best positive, for j = 0..longest.

    Returns:
      The probability that none of the block's first j places has a positive, and the expectation of 1 / (place + 1) of
      the first positive when only those j places count, f64[U, longest + 1] each.
    """
    j = np.arange(longest)
    stays = np.maximum(tied[:, None] - j, 0) / np.maximum(block[:, None] - j, 1)
    none = np.cumprod(np.concatenate([np.ones((len(above), 1)), stays], axis=1), axis=1)
    reciprocal = -np.diff(none, axis=1) / (above[:, None] + j + 1)
    return none, np.concatenate([np.zeros((len(above), 1)), np.cumsum(reciprocal, axis=1)], axis=1)


def _prefix(values: np.ndarray) -> np.ndarray:
    """Sums of the first k values f64[n], for k = 0..n: f64[n + 1]."""
    return np.concatenate([[0.0], np.cumsum(values)])


# What each metric is, for readers of tables; of a user, whose mean over the evaluated users is shown.
MEANINGS = {
    "Hit": "1 if a test item is among the first K, else 0",
    "HR": "hits among the first K / min(K, number of test items), as in DiffNet's code; the 0-or-1 hit rate is Hit",
    "Recall": "hits among the first K / number of test items",
    "Precision": "hits among the first K / K",
    "NDCG": "hits among the first K, discounted by 1 / log2(place + 1), / the most that is possible",
    "MRR": "1 / place of the first test item, 0 beyond K",
    "MAP": "mean of the precisions at the hits among the first K",
    "AUC": "share of pairs of a test item and a negative in the right order",
}


def legend(metrics: Sequence[str], meanings: Mapping[str, str] = MEANINGS) -> list[str]:
    """A line for each metric of a table: `HR@K: hits / ...`; metrics: names such as `HR@10`."""
    kinds = dict.fromkeys(name.partition("@")[0] for name in metrics)
    at = {kind: "@K" * any(name.startswith(f"{kind}@") for name in metrics) for kind in kinds}
    return [f"{kind}{at[kind]}: {meanings[kind]}" for kind in kinds if kind in meanings]


OBEYED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|", "`": "\\`"})


def cell(metric: dict | float | None) -> str:
    """`0.3142 ±0.0010`, `0.3142`, or `not available`; metric: a number or {"mean", "ci95"}."""
    if metric is None:
        return "not available"
    if isinstance(metric, dict):
        width = "" if metric.get("ci95") is None else f" ±{metric['ci95']:.4f}"
        return f"{metric['mean']:.4f}{width}"
    return f"{metric:.4f}"


def metric_rows(rows: Sequence[tuple[str, dict]], metrics: Sequence[str]) -> list[list[str]]:
    """The header and a row for each (name, {metric: value}), with `not available` for metrics that it lacks."""
    return [["", *metrics], *([name, *(cell(found.get(metric)) for metric in metrics)] for name, found in rows)]


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, with a rule below the header; line breaks and control characters in cells are made visible."""
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    line = lambda row: "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))])  # noqa: E731
    return "\n".join([line(rows[0]).rstrip(), "-" * len(line(rows[0])), *(line(row).rstrip() for row in rows[1:])])


def plain_html(text: str) -> str:
    """Text as HTML shows it: no tags, no entities, control characters visible."""
    return html.escape(visible(text))


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """The same as a table of HTML, all text escaped; names left, numbers right."""

    def line(row: Sequence[str], tag: str) -> str:
        cells = "".join(f"<{tag}>{plain_html(cell)}</{tag}>" for cell in row[1:])
        name = f'<th style="text-align: left">{plain_html(row[0])}</th>'
        return f'<tr style="text-align: right">{name}{cells}</tr>'

    head, *body = rows
    lines = "\n".join(line(row, "td") for row in body)
    return f"<table><thead>{line(head, 'th')}</thead>\n<tbody>{lines}</tbody></table>"


def escaped(text: str) -> str:
    """One line of text, escaped so that neither Markdown nor HTML reads tags, cells, links or code in it."""
    return visible(text).translate(OBEYED).replace("](", "]\\(")


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The same as a Markdown table."""
    head, *body = ["| " + " | ".join(map(escaped, row)) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
