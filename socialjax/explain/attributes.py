"""Explanations by a model that attends to attributes: which of them the user looks at, their class and region.

And the deletion test: attention is a hint, not a proof (docs/saers.md). The value of an attribute is what the score
loses without it: its term is removed from the semantic sum and the shares of the others are normalised to 1 again.
Deleting the attribute with the largest share must cost more than another one.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from socialjax.contract import Explanation, Ragged
from socialjax.data.schema import Attributes, Dataset

ATTRIBUTE = "attribute"  # the kind of node that attributes are
ALIKE = 32  # items of a user are explained in multiples of this, padded, so that few programs are compiled


def of_attributes(why: Explanation) -> Ragged | None:
    """The elements that are attributes, if the explanation has some."""
    return next((rows for rows in why.elements.values() if rows.kind.nodes == (ATTRIBUTE,)), None)


def attribute_list(ragged: Ragged, data: Dataset, pair: int, item: int) -> list[dict]:
    """The attributes of a pair, most attention first.

    Args:
        ragged: the elements of an explanation that are attributes.
        data: with attributes.
        pair: number of the pair in the explanation.
        item: row number of its item.

    Returns:
        A list of {"name", "class_name", "class_probability", "box", "box_fallback", "like", "affinity"}. like: a_uik,
        attention; it sums to 1 over the attributes of the item. affinity: sigmoid(t_u^T h_i^k), None where the model
        has none. box: [x0, y0, x1, y1], half-open, in fractions of the picture (`in_pixels` gives pixels); the whole
        picture with box_fallback, where no region stood out.
    """
    table, row = data.attributes, ragged.row(pair)
    affinity = ragged.columns.get("affinity")
    attributes = [
        {
            "name": table.names[k],
            "class_name": _class_name(table, item, k),
            "class_probability": float(table.probability[item, k]),
            "box": [float(edge) for edge in table.boxes[item, k]],
            "box_fallback": bool(table.fallback[item, k]),
            "like": float(like),
            "affinity": None if affinity is None else float(affinity[row][place]),
        }
        for place, (k, like) in enumerate(zip(ragged.ids[row].tolist(), ragged.weight[row]))
    ]
    return sorted(attributes, key=lambda each: -each["like"])


def in_pixels(attributes: list[dict], width: int, height: int) -> list[dict]:
    """The attributes with boxes in pixels of a picture of that size, rounded to a tenth."""
    size = (width, height, width, height)
    return [each | {"box": [round(edge * s, 1) for edge, s in zip(each["box"], size)]} for each in attributes]


def unpadded(attributes: list[dict], width: int, height: int) -> list[dict]:
    """The attributes with boxes in pixels of a picture that was padded to a square for the attribute network.

    Boxes are clipped to the picture.
    """
    side = max(width, height)
    near = np.array([side - width, side - height] * 2) / 2
    found = []
    for each in attributes:
        box = np.clip(np.array(each["box"]) * side - near, 0, [width, height] * 2)
        found.append(each | {"box": [round(float(edge), 1) for edge in box]})
    return found


def describe_class(table: Attributes, item: int, attribute: int) -> str:
    """Such as `neckline: V`."""
    return f"{table.names[attribute]}: {_class_name(table, item, attribute)}"


def caption(attribute: dict) -> str:
    """Such as `neckline: V - 0.62`, the number being the attention, with a note where there is no box."""
    text = f"{attribute['name']}: {attribute['class_name']} - {attribute['like']:.2f}"
    return f"{text} (no region stood out)" if attribute["box_fallback"] else text


@dataclasses.dataclass(frozen=True)
class Profile:
    """What a user looks at; attributes in the order of the data.

    Attributes:
        user: row number.
        items: training items of the user, P.
        names: of the attributes.
        like: f64[K], the mean of a_uik over the P items, 0 on items without the attribute; sums to 1.
        even: f64[K], the same under uniform attention.
        present: i64[K], items that have the attribute.
        classes: the most frequent class of each on these items, "" where there is none.
    """

    user: int
    items: int
    names: tuple[str, ...]
    like: np.ndarray
    even: np.ndarray
    present: np.ndarray
    classes: tuple[str, ...]

    def as_list(self) -> list[dict]:
        """Ready for JSON, most attention first."""
        columns = zip(self.names, self.like, self.even, self.present, self.classes)
        found = [
            {"name": name, "like": float(like), "even": float(even), "items": int(present), "most": most}
            for name, like, even, present, most in columns
        ]
        return sorted(found, key=lambda each: -each["like"])


@dataclasses.dataclass(frozen=True)
class Card:
    """One item of a user.

    Attributes:
        record: of `explain.record`, with attributes.
        picture: u8[H, W, 3].
        note: a few words, such as how the item is known to the user.
    """

    record: dict
    picture: np.ndarray
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    """One user, as they are called, with their profile and items."""

    user: str
    profile: Profile
    cards: Sequence[Card]


def profile(model, state, side, data: Dataset, user: int) -> Profile:
    """The user's attribute profile; all zero for a user without training items, or whose items have no attributes.

    Args:
        model: one with attention over attributes.
        state: of the model.
        side: of the model.
        data: with attributes.
        user: row number.

    Returns:
        The profile.

    Raises:
        ValueError: the model has no attention over attributes, or the data have none.
    """
    table = data.attributes
    items = np.unique(data.train.item[data.train.user == user]).astype(np.int32)
    items = items if table is None else items[table.valid[items].any(axis=1)]
    # A user without items has no attention to average, but the model must still be one that has any. Padding to
    # multiples of ALIKE compiles few programs for many users.
    asked = np.zeros(max(1, -(-len(items) // ALIKE)) * ALIKE, np.int32)
    asked[: len(items)] = items
    why = model.explain(state, side, np.full(len(asked), user, np.int32), asked)
    ragged = of_attributes(why)
    if table is None or ragged is None:
        raise ValueError(f"{type(model).__name__} on '{data.name}' weighs no attributes; take SAERS and data with them")
    count = len(table.names)
    like, even = np.zeros(count), np.zeros(count)
    for pair in range(len(items)):
        row = ragged.row(pair)
        ids = ragged.ids[row]
        np.add.at(like, ids, ragged.weight[row].astype(np.float64))
        np.add.at(even, ids, 1 / max(len(ids), 1))
    labels = np.where(table.valid[items], table.label[items], -1)
    most = tuple(_most_frequent(labels[:, k], table.classes[k]) for k in range(count))
    total = max(len(items), 1)
    return Profile(user, len(items), table.names, like / total, even / total, (labels >= 0).sum(axis=0), most)


def _most_frequent(labels: np.ndarray, classes: tuple[str, ...]) -> str:
    known = labels[labels >= 0]
    return classes[int(np.argmax(np.bincount(known)))] if len(known) else ""


def _class_name(table: Attributes, item: int, attribute: int) -> str:
    label = int(table.label[item, attribute])
    return table.classes[attribute][label] if label >= 0 else "not known"


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
