"""An explanation as plain records: names instead of numbers, elements ranked, ready for JSON, text and picture."""

import re

import numpy as np

from socialjax.data.schema import Dataset
from socialjax.explain.attributes import attribute_list, describe_class
from socialjax.explain.liked_frames import describe_frame
from socialjax.models.protocol import Explanation, Ragged

KEPT = 100  # elements of one part in a record: whoever follows thousands has thousands at distance 2
LABELS = {
    "own_vector": "own vector",
    "history": "own history",
    "interest": "own interest",
    "upload": "own uploads",
    "social": "users followed",
    "owner": "who made it",
    "past_owner": "own past with who made it",
    "aspects": "weights of aspects",
    "frames": "what its frames look like",
    "residual": "what it looks like beside its frames",
    "global": "how it looks as a whole",
    "attributes": "its attributes",
    "semantic": "its attributes",
}
NUMBERED = {"friends": "friends at distance", "diffusion": "diffusion layer"}
# What the ids of elements are.
KINDS = {
    "history": "item",
    "friends": "user",
    "diffusion": "user",
    "upload": "item",
    "social": "user",
    "owner": "user",
    "aspects": "aspect",
    "frames": "frame",
    "attributes": "attribute",
}
BESIDE = ("preference", "affinity")  # what rows of frames and of attributes have beside weight and contribution
SUMMED = {"attributes": "semantic"}  # the part that elements add up to, where it is called otherwise
ASPECTS = np.array(["upload", "social", "owner"])  # of HASC, in the order of their numbers


def records(explanation: Explanation, data: Dataset, kept: int = KEPT) -> list[dict]:
    """One for each pair, in their order.

    {"data_set", "data" (real, stand-in, ...), "user", "item", "title", "score", "exact",
     "parts": [{"name", "label", "value"}], which add up to the score,
     "elements": [{"part", "label", "kind", "count", "ranked": [{"id", "title", "is_user", "weight", "contribution"}],
                   "rest": {"count", "contribution"}}]}; ranked by the size of the contribution, `kept` at most.

    Frames are ranked by how much the user likes them, l_ak, their "preference": the first is the key frame. Attributes
    are ranked by attention, their weight, and have an "affinity"; then the record has "attributes" too, in the form of
    `attributes.attribute_list`.
    """
    return [_record(explanation, data, pair, kept) for pair in range(len(explanation.users))]


def label(part: str) -> str:
    """What people read for the name of a part: `friends at distance 2` for `friends_2`."""
    numbered = re.fullmatch(r"(\w+)_(\d+)", part)
    if numbered and numbered[1] in NUMBERED:
        return f"{NUMBERED[numbered[1]]} {numbered[2]}"
    return LABELS.get(part, part.replace("_", " "))


def _record(why: Explanation, data: Dataset, pair: int, kept: int) -> dict:
    user, item = int(why.users[pair]), int(why.items[pair])
    return {
        "data_set": data.name,
        "data": data.provenance.kind,
        "user": _id(user, data.user_names),
        "item": _id(item, data.item_names),
        "title": data.describe_item(item),
        "score": float(why.score[pair]),
        "exact": why.exact,
        "parts": [{"name": n, "label": label(n), "value": float(value[pair])} for n, value in why.parts.items()],
        "elements": [
            _elements(name, ragged, data, pair, (user, item), kept) | {"part": _part(name, why)}
            for name, ragged in why.elements.items()
        ],
        **{
            name: attribute_list(ragged, data, pair, item)
            for name, ragged in why.elements.items()
            if name == "attributes" and data.attributes is not None
        },
    }


def _elements(name: str, ragged: Ragged, data: Dataset, pair: int, of: tuple[int, int], kept: int) -> dict:
    user, item = of
    row = slice(ragged.offsets[pair], ragged.offsets[pair + 1])
    ids, weight, share = ragged.ids[row], ragged.weight[row], ragged.contribution[row]
    beside = {extra: getattr(ragged, extra)[row] for extra in BESIDE if hasattr(ragged, extra)}
    kind = KINDS.get(name.split("_")[0], "number")
    by = {"frame": beside.get("preference"), "attribute": weight}.get(kind)
    order = np.argsort(-np.abs(share) if by is None else -by, kind="stable")
    shown, rest = order[:kept], order[kept:]
    attributes = None if data.attributes is None else np.array(data.attributes.names)
    named = {"user": data.user_names, "item": data.item_names, "aspect": ASPECTS, "attribute": attributes}
    names = named.get(kind)
    ranked = [
        {
            "id": _id(ids[e], names),
            "title": _title(int(ids[e]), kind, names, data, item),
            "is_user": kind == "user" and int(ids[e]) == user,
            "weight": float(weight[e]),
            "contribution": float(share[e]),
            **{extra: float(values[e]) for extra, values in beside.items()},
        }
        for e in shown
    ]
    return {
        "label": label(name),
        "kind": kind,
        "count": len(ids),
        "ranked": ranked,
        "rest": {"count": len(rest), "contribution": float(share[rest].sum())},
    }


def _part(elements: str, why: Explanation) -> str:
    summed = SUMMED.get(elements, elements)
    return summed if summed in why.parts else elements


def _title(number: int, kind: str, names: np.ndarray | None, data: Dataset, item: int) -> str:
    if kind == "attribute":
        return describe_class(data.attributes, item, number)
    if kind == "frame":
        return describe_frame(data.frames, number)
    return data.describe_item(number) if kind == "item" else str(_id(number, names))


def _id(number: int, names: np.ndarray | None) -> int | str:
    return int(number) if names is None else str(names[number])
