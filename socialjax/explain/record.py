"""An explanation as plain records: names instead of numbers, elements ranked, ready for JSON, text and picture.

Text comes from the model that makes the explanation (`contract.Kind`), names from the data.
"""

import dataclasses

import numpy as np

from socialjax.contract import Explanation, Kind, Ragged
from socialjax.data.schema import Dataset
from socialjax.explain.attributes import ATTRIBUTE, attribute_list, describe_class, of_attributes
from socialjax.explain.liked_frames import describe_frame
from socialjax.explain.text import STEP
from socialjax.names import visible

KEPT = 100  # elements of one part in a record: a user who follows thousands has thousands at distance 2


def records(explanation: Explanation, data: Dataset, kept: int | None = KEPT) -> list[dict]:
    """One record for each pair, in their order.

    {"data_set", "data" (real, stand-in, ...), "user", "item", "title", "score", "exact",
     "parts": [{"name", "label", "value"}], which add up to the score,
     "elements": [{"name", "part", "label", "kind", "nodes", "count", "exact", "first", "words", "note",
                   "ranked": [{"id", "title", "is_user", "weight", "contribution", and the columns of the model}],
                   "rest": {"count", "contribution"}}]}

    Elements are ranked as their kind specifies, by default by the size of the contribution. "kind" is that of an
    element's node, `path` where it has several; then its "id" is the list of theirs, "steps" are their names, and
    "nodes" their kinds. If the data have attributes the record has "attributes" too, in the form of
    `attributes.attribute_list`.

    Args:
        explanation: of P pairs.
        data: the data set of the pairs.
        kept: elements of a part at most; all where it is None.

    Returns:
        The records.
    """
    return [_record(explanation, data, pair, kept) for pair in range(len(explanation.users))]


def label(name: str, explanation: Explanation) -> str:
    """The label, for people, of a part or of elements by name; the name itself where the model has none."""
    given = {_part(of, explanation): rows.kind.label for of, rows in explanation.elements.items()}
    return explanation.labels.get(name) or given.get(name) or name.replace("_", " ")


def _record(why: Explanation, data: Dataset, pair: int, kept: int | None) -> dict:
    user, item = int(why.users[pair]), int(why.items[pair])
    attributes = None if data.attributes is None else of_attributes(why)
    return {
        "data_set": data.name,
        "data": data.provenance.kind,
        "user": _id(user, data.user_names),
        "item": _id(item, data.item_names),
        "title": data.describe_item(item),
        "score": float(why.score[pair]),
        "exact": why.exact,
        "parts": [{"name": n, "label": label(n, why), "value": float(value[pair])} for n, value in why.parts.items()],
        "elements": [
            {"name": name, "part": _part(name, why), "label": rows.kind.label or label(name, why)}
            | _elements(rows, data, pair, (user, item), kept)
            for name, rows in why.elements.items()
        ],
        **({} if attributes is None else {"attributes": attribute_list(attributes, data, pair, item)}),
    }


def _elements(rows: Ragged, data: Dataset, pair: int, user_item: tuple[int, int], kept: int | None) -> dict:
    row, kind = rows.row(pair), rows.kind
    ids, share = rows.ids[row], rows.contribution[row]
    numbers = {"weight": rows.weight[row], "contribution": share}
    numbers |= {name: values[row] for name, values in rows.columns.items()}
    order = np.argsort(-numbers[kind.ranked_by] if kind.ranked_by else -np.abs(share), kind="stable")
    listed, rest = order[:kept], order[len(order) if kept is None else kept :]
    return {
        "kind": kind.nodes[0] if len(kind.nodes) == 1 else "path",
        "nodes": list(kind.nodes),
        "count": len(ids),
        "exact": rows.exact,
        "first": kind.first,
        "words": dict(kind.words),
        "note": kind.note,
        "ranked": [
            _element(ids[e], kind, data, user_item) | {name: float(values[e]) for name, values in numbers.items()}
            for e in listed
        ],
        "rest": {"count": len(rest), "contribution": float(share[rest].sum())},
    }


def _element(ids: np.ndarray, kind: Kind, data: Dataset, user_item: tuple[int, int]) -> dict:
    """Id and title of a node or, with ids i32[K + 1], of a path."""
    user, item = user_item
    names = [_names(node, kind, data) for node in kind.nodes]
    nodes = list(zip(np.atleast_1d(ids).tolist(), kind.nodes, names, strict=True))
    typed = [_id(number, called) for number, _, called in nodes]
    titles = [_title(number, node, called, data, item) for number, node, called in nodes]
    if len(nodes) == 1:
        return {"id": typed[0], "title": titles[0], "is_user": kind.nodes == ("user",) and nodes[0][0] == user}
    steps = [f"{node} {title}" if node in ("user", "item") else title for title, node in zip(titles, kind.nodes)]
    return {"id": typed, "title": STEP.join(steps), "steps": steps, "is_user": False}


def _part(name: str, why: Explanation) -> str:
    """The part that the elements of that name add up to."""
    part = why.elements[name].kind.part
    return part if part in why.parts else name


def _names(node: str, kind: Kind, data: Dataset) -> np.ndarray | None:
    """The names of nodes of that kind; None without."""
    if kind.names and node not in ("user", "item"):
        return np.array(kind.names)
    if node == ATTRIBUTE and data.attributes is not None:
        return np.array(data.attributes.names)
    return {"user": data.user_names, "item": data.item_names}.get(node)


def _title(number: int, node: str, names: np.ndarray | None, data: Dataset, item: int) -> str:
    if node == ATTRIBUTE and data.attributes is not None:
        return describe_class(data.attributes, item, number)
    if node == "frame" and data.frames is not None:
        return describe_frame(data.frames, number)
    return data.describe_item(number) if node == "item" else str(_id(number, names))


def _id(number: int, names: np.ndarray | None) -> int | str:
    return int(number) if names is None else str(names[number])


@dataclasses.dataclass(frozen=True)
class Element:
    """One friend, item, frame, attribute or path of these, and what it adds to a score.

    Attributes:
        id: as one types it; of a path the ids of its nodes.
        title: for reading.
        weight: in the sum that it is part of.
        contribution: share of the score.
        columns: what else the model says of it, by name.
    """

    id: int | str | tuple[int | str, ...]
    title: str
    weight: float
    contribution: float
    columns: dict[str, float]


@dataclasses.dataclass(frozen=True)
class ExplainedScore:
    """Why a user and an item got their score.

    Attributes:
        user: as one types it.
        item: as one types it.
        title: of the item, for reading.
        score: the sum of the parts.
        parts: name -> share of the score.
        labels: name of a part -> what people read for it.
        elements: name -> what the part of that name is made of, strongest first.
        exact: whether elements add up to their part; False where some are estimates.
    """

    user: int | str
    item: int | str
    title: str
    score: float
    parts: dict[str, float]
    labels: dict[str, str]
    elements: dict[str, list[Element]]
    exact: bool

    def __str__(self) -> str:
        """The score and its parts, a line each; the elements of a part stand in `elements`."""
        rows = [(self.labels.get(name, name), value) for name, value in self.parts.items()]
        width = max(len(visible(label)) for label, _ in [("score", 0.0), *rows])
        lines = [f"{visible(self.user)}, {visible(self.title)}"]
        lines += [f"  {visible(label).ljust(width)} {value:+.4f}" for label, value in rows]
        return "\n".join([*lines, f"  {'score'.ljust(width)} {self.score:+.4f}"])


def explained(record: dict) -> ExplainedScore:
    """A record as an object."""
    return ExplainedScore(
        user=record["user"],
        item=record["item"],
        title=record["title"],
        score=record["score"],
        parts={part["name"]: part["value"] for part in record["parts"]},
        labels={part["name"]: part["label"] for part in record["parts"]},
        elements={group["name"]: [_read_element(e) for e in group["ranked"]] for group in record["elements"]},
        exact=record["exact"],
    )


def _read_element(element: dict) -> Element:
    known = ("id", "title", "steps", "is_user", "weight", "contribution")
    number = tuple(element["id"]) if isinstance(element["id"], list) else element["id"]
    columns = {name: value for name, value in element.items() if name not in known}
    return Element(number, element["title"], element["weight"], element["contribution"], columns)
