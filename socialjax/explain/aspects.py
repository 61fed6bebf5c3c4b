"""How much each aspect counts over all users: the mean and the deviation of HASC's weights, as figures and picture."""

from pathlib import Path

import numpy as np

from socialjax.drawing import BLUE, GREEN, INK, ORANGE, blank, save
from socialjax.explain.record import ASPECTS, label

COLOURS = (BLUE, ORANGE, GREEN)


def population(gamma: np.ndarray) -> dict:
    """gamma f[U, 3], each user's mean weights of upload, social and owner -> figures ready for JSON.

    {"users", "aspects": [{"name", "label", "mean", "deviation", "quartiles": [3 numbers], "largest": share of users
    whose largest weight it is}]}. Raises ValueError for another shape, for nobody, and for weights that are not finite.
    """
    gamma = np.asarray(gamma, np.float64)
    if gamma.ndim != 2 or gamma.shape[1] != len(ASPECTS) or not len(gamma) or not np.isfinite(gamma).all():
        raise ValueError(
            f"wanted finite weights of {', '.join(ASPECTS)}, one row a user, got shape {gamma.shape}; "
            "take the mean of the model's gamma over each user's candidates"
        )
    largest = np.bincount(gamma.argmax(axis=1), minlength=len(ASPECTS)) / len(gamma)
    return {
        "users": len(gamma),
        "aspects": [
            {
                "name": str(name),
                "label": label(str(name)),
                "mean": float(gamma[:, place].mean()),
                "deviation": float(gamma[:, place].std()),
                "quartiles": [float(q) for q in np.quantile(gamma[:, place], (0.25, 0.5, 0.75))],
                "largest": float(largest[place]),
            }
            for place, name in enumerate(ASPECTS)
        ],
    }


def draw_population(path: Path, gamma: np.ndarray, title: str) -> None:
    """Writes the distribution of each aspect's weight over users, with mean and deviation, as PNG, whole or not at all.

    title: which model on which data, and `stand-in` where the data are generated. Raises as `population`.
    """
    found = population(gamma)
    figure = blank(7.5, 3.4)
    figure.suptitle(f"{title}\nweights of aspects over {found['users']:,} users", fontsize=10, parse_math=False)
    axes = figure.subplots(1, len(ASPECTS), sharey=True)
    for place, (axis, of) in enumerate(zip(axes, found["aspects"])):
        axis.hist(np.asarray(gamma)[:, place], bins=np.linspace(0, 1, 26), color=COLOURS[place], alpha=0.8)
        mean, deviation = of["mean"], of["deviation"]
        axis.axvspan(max(mean - deviation, 0), min(mean + deviation, 1), color=INK, alpha=0.12, linewidth=0)
        axis.axvline(mean, color=INK, linewidth=1.2)
        axis.set_title(f"{of['label']}: {mean:.3f} ± {deviation:.3f}", fontsize=9, loc="left")
        axis.set_xlabel(f"largest weight of {of['largest']:.0%} of users", fontsize=8)
        axis.set_xlim(0, 1)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    axes[0].set_ylabel("users", fontsize=8)
    save(figure, path)
