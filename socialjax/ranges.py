"""Ranges of settings: what a search for good settings draws from. A model says its own in `search_space`."""

import dataclasses
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some values, equally often."""

    values: tuple

    def at(self, u: float) -> Any:
        """The value at `u` in [0, 1)."""
        return self.values[int(u * len(self.values))]


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A number of low..high, to two decimals."""

    low: float
    high: float

    def at(self, u: float) -> float:
        """The number at `u` in [0, 1)."""
        return round(self.low + u * (self.high - self.low), 2)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A number of low..high whose logarithm is uniform, to two digits."""

    low: float
    high: float

    def at(self, u: float) -> float:
        """The number at `u` in [0, 1)."""
        return float(f"{self.low * math.exp(u * math.log(self.high / self.low)):.2g}")


Range = Choice | Uniform | LogUniform
