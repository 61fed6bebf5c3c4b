"""What models have in common that rank the frames of an item for a user."""

import abc
import dataclasses

import jax
import numpy as np

from socialjax.models.protocol import Ragged, Side, State


class RanksFrames(abc.ABC):
    """Stands beside `Model`: such a model also says how much each user likes each frame."""

    @abc.abstractmethod
    def frame_scores(self, state: State, side: Side, users: jax.Array, frames: jax.Array) -> jax.Array:
        """users i32[P], frames i32[P, K], rows of `Frames.features` -> f32[P, K], larger for frames liked more.

        A padded place may hold any row; the caller knows which are padded.
        """


@dataclasses.dataclass(frozen=True)
class FrameRows(Ragged):
    """Frames of each pair's item: ids are rows of `Frames.features`, weight their attention alpha_a(k|i), contribution
    what they add to the score, preference f32[T] the l_ak by which they are ranked."""

    preference: np.ndarray
