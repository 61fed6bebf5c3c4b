"""What visual models are given of the items' images."""

import numpy as np


def scaled(features: np.ndarray | None) -> np.ndarray | None:
    """f32[I, F] divided by one number, so that the rows' mean length is 1; None stays None (NumPy).

    One number for all keeps their proportions; raw activations of a network are so long that E would explode at usual
    learning rates. Rows of zeros are items without an image: they stay, and do not count in the mean.
    """
    if features is None:
        return None
    features = np.asarray(features, np.float64)  # half precision overflows in the squares
    length = np.linalg.norm(features, axis=1)
    mean = length[length > 0].mean() if length.any() else 1.0
    return (features / mean).astype(np.float32)
