"""Pictures with labelled attributes: what an attribute network learns from (SAERS, section 3)."""

import dataclasses

import numpy as np

from socialjax.data.schema import PARTS, Provenance

UNLABELLED = -1


@dataclasses.dataclass(frozen=True)
class LabelledPictures:
    """N pictures with up to one class for each of K attributes. Labels are partial: -1 says that nobody looked, which
    is neither "absent" nor class 0.

    names: the attributes, with the names of their classes. labels i16[N, K]. part u8[N]: 0 train, 1 validation, 2 test.
    files str[N], below `folder` or inside the tar archive `folder`; or pixels u8[N, H, W, 3] of pictures that are made
    or small. groups str[N]: product groups, "" where not known. boxes f32[N, K, B, 4]: true boxes (x0, y0, x1, y1),
    half-open, in parts of width and height, NaN where there is none; None where nobody drew them. ids str[N].
    """

    name: str
    names: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    labels: np.ndarray
    part: np.ndarray
    ids: np.ndarray
    provenance: Provenance
    folder: str | None = None
    files: np.ndarray | None = None
    pixels: np.ndarray | None = None
    groups: np.ndarray | None = None
    boxes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, part: str) -> np.ndarray:
        """Numbers of the pictures of a part, i64[n]."""
        return np.flatnonzero(self.part == PARTS.index(part))

    def take(self, rows: np.ndarray) -> "LabelledPictures":
        """The given pictures, in the given order."""
        columns = ("labels", "part", "ids", "files", "pixels", "groups", "boxes")
        taken = {name: getattr(self, name)[rows] for name in columns if getattr(self, name) is not None}
        return dataclasses.replace(self, **taken)
