"""Users and items as people type them, and our row numbers."""

from collections.abc import Iterable

import numpy as np

EXAMPLES = 3


def listed(values) -> list:
    """One value or several -> a list."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    return list(values)


def numbers(kind: str, values, names: np.ndarray | None, size: int, data: str) -> np.ndarray:
    """Row numbers i32[N] of ids: those of the file where it has names (U[size]), else the row numbers themselves.

    kind: `user` or `item`; data: name of the data set. Raises ValueError for an id that is not there, with the range
    or examples of those that are.
    """
    found = []
    for value in listed(values):
        text = str(value).strip()
        if names is not None:
            places = np.flatnonzero(names == text)
            if not len(places):
                some = ", ".join(map(str, names[:EXAMPLES]))
                raise ValueError(f"data set '{data}' has no {kind} '{text}'; its {size} {kind}s are called {some}, ...")
            found.append(int(places[0]))
            continue
        if not text.isdecimal() or int(text) >= size:
            raise ValueError(f"data set '{data}' has no {kind} '{text}'; its {kind}s are the numbers 0 to {size - 1}")
        found.append(int(text))
    return np.array(found, np.int32)


def typed(number: int, names: np.ndarray | None) -> int | str:
    """The id under which `numbers` finds that row."""
    return int(number) if names is None else str(names[number])
