"""Users or items by the beginning of their id or title, as one types it into a search box."""

import bisect

import numpy as np

TYPED = 60  # characters by which names are told apart; a longer one is found by its first


class Prefixes:
    """Finds row numbers by a prefix of any of their names, without regard to upper and lower case.

    Args:
        size: how many rows there are.
        names: U[size] ids; None where they are the row numbers.
        titles: U[size], or None.
    """

    def __init__(self, size: int, names: np.ndarray | None, titles: np.ndarray | None = None):
        self._size, self._numbered = size, names is None
        columns = [np.asarray(column).tolist() for column in (names, titles) if column is not None]
        folded = ((_folded(str(text)), row) for column in columns for row, text in enumerate(column))
        named = sorted(pair for pair in folded if pair[0])
        self._texts, self._rows = [text for text, _ in named], [row for _, row in named]

    def find(self, prefix: str, most: int) -> list[int]:
        """At most `most` rows, each once: numbers first, then names in alphabetical order."""
        prefix = _folded(prefix)
        found = dict.fromkeys(self._by_number(prefix, most) if self._numbered else [])
        for place in range(bisect.bisect_left(self._texts, prefix), len(self._texts)):
            if len(found) >= most or not self._texts[place].startswith(prefix):
                break
            found[self._rows[place]] = None
        return list(found)[:most]

    def _by_number(self, prefix: str, most: int) -> list[int]:
        """Rows whose decimal digits begin with the prefix, small ones first."""
        if not prefix:
            return list(range(min(most, self._size)))
        if not (prefix.isascii() and prefix.isdigit()) or str(int(prefix)) != prefix:
            return []
        first, width, found = int(prefix), 1, []
        while first < self._size and len(found) < most:
            found += range(first, min(first + width, self._size, first + most))
            if not first:
                break  # no other number begins with 0
            first, width = 10 * first, 10 * width
        return found[:most]


def _folded(text: str) -> str:
    return text.strip().casefold()[:TYPED]
