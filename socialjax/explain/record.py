"""Explanations as text and as JSON records."""

import numpy as np

from socialjax.data.schema import Dataset
from socialjax.explain.attributes import ATTRIBUTE, attribute_list, describe_class, of_attributes
from socialjax.explain.liked_frames import describe_frame
from socialjax.models.protocol import Explanation, Kind, Ragged
from socialjax.names import visible

WIDTH = 32  # characters of the longest bar
LONGEST = 44  # characters of a name
STEP, LONGEST_STEP = " > ", 18  # between the nodes of a path; characters of a node
SHOWN = 8


def report(records: list[dict], limit: int = SHOWN) -> str:
    """Records of `explain.record` as text; generated data are marked in the first and in the last line.

    Args:
        records: of the pairs.
        limit: elements of each part that are listed, at most.
    """
    warning = stand_in(records[0]) if records else ""
    blocks = ["\n".join(_lines(record, limit)) for record in records]
    notes = (group["note"] for record in records for group in record["elements"])
    blocks += dict.fromkeys(filter(None, notes))
    return "\n\n".join([*([warning] if warning else []), *blocks, *([warning] if warning else [])])


def stand_in(record: dict) -> str:
    """The warning for generated data, empty for real data."""
    if record["data"] == "real":
        return ""
    what = f"{record['data'].upper()}: {visible(record['data_set'])} was generated"
    return f"{what}; this says nothing about real users and items"


def heading(record: dict) -> str:
    """Such as `user 5, item 17 "Blue Cafe": score +1.250`."""
    title = "" if str(record["title"]) == str(record["item"]) else f' "{shorten(record["title"])}"'
    pair = f"user {visible(record['user'])}, item {visible(record['item'])}"
    return f"{pair}{title}: score {record['score']:+.3f}"


def shorten(name, longest: int = LONGEST) -> str:
    """Safe to show, and at most `longest` characters."""
    name = visible(name)
    return name if len(name) <= longest else name[: longest - 3] + "..."


def name_of(element: dict, kind: str) -> str:
    """Such as `user 12`, `user 5, through friends`, the title of an item, or the nodes of a path."""
    if element["is_user"]:
        return f"user {visible(element['id'])}, through friends"
    if kind == "path":
        return STEP.join(shorten(step, LONGEST_STEP) for step in element["steps"])
    if kind in ("frame", "attribute"):
        return shorten(element["title"])
    titled = kind == "item" and str(element["title"]) != str(element["id"])
    return shorten(element["title"]) if titled else shorten(f"{kind} {element['id']}")


def rest_of(group: dict, limit: int) -> tuple[int, float]:
    """(how many elements follow the first `limit`, what they add)."""
    later = group["ranked"][limit:]
    rest = group["rest"]
    return len(later) + rest["count"], sum(e["contribution"] for e in later) + rest["contribution"]


def _lines(record: dict, limit: int):
    yield heading(record)
    rows = [(part["label"], part["value"]) for part in record["parts"]]
    yield from _bars(rows, "  ")
    yield f"  {'sum'.ljust(_widest(rows))}  {sum(value for _, value in rows):+8.3f}"
    values = {part["name"]: part["value"] for part in record["parts"]}
    for group in record["elements"]:
        if not group["count"]:
            continue
        yield ""
        noun = group["kind"] + ("s" if group["count"] > 1 else "")
        of = f" ({values[group['part']]:+.3f})" if group["part"] in values else ""
        of += f", {group['first']} {name_of(group['ranked'][0], group['kind'])}" if group["first"] else ""
        estimate = "" if group["exact"] else ", shares estimated by gradient times input"
        yield f"  {group['label']}{of}: {group['count']:,} {noun}{estimate}"
        ranked = group["ranked"][:limit]
        names = [name_of(e, group["kind"]) for e in ranked]
        longest = max(map(len, names), default=0)
        seen = {each["name"]: each for each in record.get("attributes", ())}
        seen = seen if group["kind"] == "attribute" else {}
        figures = [_numbers(e, group["words"]) + _seen(seen.get(str(e["id"]))) for e in ranked]
        named = [f"{name.ljust(longest)}  {figure}" for name, figure in zip(names, figures)]
        yield from _bars([(name, e["contribution"]) for name, e in zip(named, ranked)], "    ")
        count, others = rest_of(group, limit)
        if count:
            yield f"    {f'and {count:,} more'.ljust(max(map(len, named), default=0))}  {others:+8.3f}"


def _numbers(element: dict, words: dict[str, str]) -> str:
    """The weight of an element and its other numbers that the model has labels for."""
    return "  ".join(f"{word} {_number(word, element[name])}" for name, word in words.items())


def _number(word: str, value: float) -> str:
    # Weights of graphs may be tiny; numbers with a label of their own are of the order of 1.
    return f"{value:<8.3g}" if word == "weight" else f"{value:.3f}"


def _seen(attribute: dict | None) -> str:
    """How sure the attribute network is of the class; empty for what is no attribute."""
    if attribute is None:
        return ""
    return f"  class {attribute['class_probability']:4.0%}" + ("  no region" if attribute["box_fallback"] else "")


def _bars(rows: list[tuple[str, float]], indent: str):
    """Names, numbers and bars, `#` for and `-` against, as long as the numbers are large."""
    largest = max((abs(value) for _, value in rows), default=0) or 1.0
    widest = _widest(rows)
    for name, value in rows:
        bar = ("#" if value > 0 else "-") * round(WIDTH * abs(value) / largest)
        yield f"{indent}{name.ljust(widest)}  {value:+8.3f}  {bar}".rstrip()


def _widest(rows: list[tuple[str, float]]) -> int:
    return max((len(name) for name, _ in rows), default=0)


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
