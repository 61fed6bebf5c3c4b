"""Users and items as people type them, and our row numbers."""

from collections.abc import Iterable

import numpy as np

EXAMPLES = 3


def listed(values) -> list:
    """One value or several -> a list."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    return list(values)


def numbers(kind: str, values, names: np.ndarray | None, size: int, data: str, titles=None) -> np.ndarray:
    """Row numbers i32[N] of ids: those of the file where it has names (U[size]), else the row numbers themselves.

    kind: `user` or `item`; data: name of the data set. titles: U[size] or None; what is no id is looked up there.
    Raises ValueError for what is not there, with the range or examples of the ids that are, and for a title of several.
    """
    found = [_number(kind, str(value).strip(), names, size, data, titles) for value in listed(values)]
    return np.array(found, np.int32)


def _number(kind: str, text: str, names: np.ndarray | None, size: int, data: str, titles: np.ndarray | None) -> int:
    if names is None and text.isdecimal() and int(text) < size:
        return int(text)
    places = [] if names is None else np.flatnonzero(names == text)
    if not len(places) and titles is not None and text:  # an item without a title has an empty one
        places = np.flatnonzero(titles == text)
        if len(places) > 1:
            some = ", ".join(str(typed(place, names)) for place in places)
            raise ValueError(f"data set '{data}' has {len(places)} {kind}s titled '{text}'; name one by its id: {some}")
    if len(places):
        return int(places[0])
    if names is None:
        raise ValueError(f"data set '{data}' has no {kind} '{text}'; its {kind}s are the numbers 0 to {size - 1}")
    some = ", ".join(map(str, names[:EXAMPLES]))
    raise ValueError(f"data set '{data}' has no {kind} '{text}'; its {size} {kind}s are called {some}, ...")


def typed(number: int, names: np.ndarray | None) -> int | str:
    """The id under which `numbers` finds that row."""
    return int(number) if names is None else str(names[number])
