"""The deletion test: attention is a hint, not a proof (docs/saers.md).

The value of an attribute is what the score loses without it: its term is removed from the semantic sum and the shares
of the others are normalised to 1 again. Deleting the attribute with the largest share must cost more than another one.
"""

import dataclasses

import numpy as np

from socialjax.contract import Explanation


@dataclasses.dataclass(frozen=True)
class Deletion:
    """The deletion test of all pairs with at least two attributes.

    Attributes:
        pair: i64[Q], numbers of the pairs in the explanation.
        top: i32[Q], the attribute with the largest share.
        lost: f32[Q], what the score loses without it.
        other: f32[Q], what the score loses without another one, mean over all others.
        wins: f32[Q], the share of the others that cost less; a tie counts half.
    """

    pair: np.ndarray
    top: np.ndarray
    lost: np.ndarray
    other: np.ndarray
    wins: np.ndarray

    @property
    def share(self) -> float:
        """How often the top attribute costs more than one of the others, drawn at random: its expectation."""
        return float(self.wins.mean()) if len(self.wins) else float("nan")


def deletion_test(why: Explanation, name: str = "attributes") -> Deletion:
    """Runs the deletion test on an explanation.

    Args:
        why: an explanation whose elements `name` have shares `weight`, which add up to 1 for a pair, and a column
            `product`, each element's unweighted contribution to the score.
        name: of the elements.

    Returns:
        The figures of each pair with at least two elements.

    Raises:
        ValueError: the explanation has no such elements.
    """
    rows = why.elements.get(name)
    if rows is None or "product" not in rows.columns:
        raise ValueError(
            f"the deletion test wants elements '{name}' with a product each, got elements "
            f"{', '.join(why.elements) or 'none'}; explain with a model that has attention over attributes"
        )
    results = []
    for pair in range(len(why.users)):
        row = rows.row(pair)
        if row.stop - row.start > 1:
            lost = drops(rows.weight[row], rows.columns["product"][row])
            top = int(rows.weight[row].argmax())
            others = np.delete(lost, top)
            wins = (lost[top] > others).mean() + (lost[top] == others).mean() / 2
            results.append((pair, rows.ids[row][top], lost[top], others.mean(), wins))
    columns = zip(*results) if results else ([],) * 5
    return Deletion(*(np.array(c, t) for c, t in zip(columns, (np.int64, np.int32, *[np.float32] * 3))))


def drops(share: np.ndarray, product: np.ndarray) -> np.ndarray:
    """What the sum of share * product loses without each element.

    Where one element has all of the weight, the others get equal shares in its absence.

    Args:
        share: f32[n], adding up to 1.
        product: f32[n].

    Returns:
        f64[n].
    """
    share, product = np.asarray(share, np.float64), np.asarray(product, np.float64)
    lost = np.empty(len(share))
    for k in range(len(share)):
        rest = np.delete(share, k)
        rest = rest / rest.sum() if rest.sum() > 0 else np.full(len(rest), 1 / len(rest))
        lost[k] = share @ product - rest @ np.delete(product, k)
    return lost
