"""One picture for each shot, at most K in all: the sharp ones near the middle of the longest shots."""

import numpy as np


def sharpness(frames: np.ndarray) -> np.ndarray:
    """frames u8[n, h, w, 3] -> f32[n]: the variance of the Laplacian of the grey picture; blurred and plain are low."""
    found = np.empty(len(frames), np.float32)
    for n, frame in enumerate(frames):
        grey = frame.astype(np.float32).mean(axis=2)
        inside = grey[1:-1, 1:-1]
        found[n] = np.var(grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inside)
    return found


def key_frames(frames: np.ndarray, cuts: np.ndarray, at_most: int) -> np.ndarray:
    """Positions i64[k], k <= at_most, rising: the sharpest frame in the middle half of each shot, first of equals.

    frames u8[n, h, w, 3]; cuts i64[C], the first frame of each shot but the first, rising. The outer quarters of a shot
    are left out: fades live there. With more than `at_most` shots the longest are kept, the earlier of equals.
    """
    edges = np.concatenate([[0], cuts, [len(frames)]]).astype(np.int64)
    lengths = np.diff(edges)
    kept = np.sort(np.argsort(-lengths, kind="stable")[:at_most])
    kept = kept[lengths[kept] > 0]
    picked = []
    for shot in kept:
        margin = lengths[shot] // 4
        first, last = edges[shot] + margin, edges[shot + 1] - margin
        picked.append(first + int(np.argmax(sharpness(frames[first:last]))))
    return np.array(picked, np.int64)
