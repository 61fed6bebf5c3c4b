"""How much each aspect counts over all users: mean and deviation of the weights of a model such as HASC."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from socialjax.data.schema import Dataset
from socialjax.drawing import BLUE, GREEN, INK, ORANGE, blank, save
from socialjax.explain.record import label

PAIRS, BLOCK = 4096, 256  # pairs that are explained at most, and at a time
COLOURS = (BLUE, ORANGE, GREEN)


def weights_over_users(model, state, side, data: Dataset) -> tuple[np.ndarray, dict[str, str]]:
    """Each user's mean attention over aspects.

    Args:
        model: one with attention over aspects, such as HASC.
        state: of the model.
        side: of the model.
        data: its test pairs are explained, or its training pairs if it has none; at most 4,096, evenly spread.

    Returns:
        f64[U, A] of the users who have such pairs; and name -> label of the aspects.

    Raises:
        ValueError: the model has no attention over aspects.
    """
    pairs = data.test if len(data.test) else data.train
    chosen = np.linspace(0, len(pairs) - 1, min(PAIRS, len(pairs))).astype(int)
    filled = np.concatenate([chosen, np.repeat(chosen[-1:], -len(chosen) % BLOCK)])  # blocks of one size compile once
    weights, labels = [], {}
    for block in filled.reshape(-1, BLOCK):
        why = model.explain(state, side, pairs.user[block], pairs.item[block])
        rows = next((rows for rows in why.elements.values() if rows.kind.names), None)
        if rows is None:
            raise ValueError(f"{type(model).__name__} on '{data.name}' weighs no aspects; take HASC with attention")
        names = [rows.kind.names[k] for k in rows.ids[rows.row(0)]]
        labels = {name: label(name, why) for name in names}
        weights.append(rows.weight.astype(np.float64).reshape(len(block), len(names)))
    users, number = np.unique(pairs.user[chosen], return_inverse=True)
    total = np.zeros((len(users), len(labels)))
    np.add.at(total, number, np.concatenate(weights)[: len(chosen)])
    return total / np.bincount(number)[:, None], labels


def population(gamma: np.ndarray, labels: Mapping[str, str]) -> dict:
    """Figures over users, ready for JSON.

    Args:
        gamma: f[U, A], each user's mean weights of the aspects.
        labels: name of each aspect, in their order -> its label for people.

    Returns:
        {"users", "aspects": [{"name", "label", "mean", "deviation", "quartiles": [3 numbers], "largest": share of
        users whose largest weight it is}]}.

    Raises:
        ValueError: another shape, nobody, or weights that are not finite.
    """
    gamma = np.asarray(gamma, np.float64)
    if gamma.ndim != 2 or gamma.shape[1] != len(labels) or not len(gamma) or not np.isfinite(gamma).all():
        raise ValueError(
            f"wanted finite weights of {', '.join(labels)}, one row a user, got shape {gamma.shape}; "
            "take the mean of the model's gamma over each user's candidates"
        )
    largest = np.bincount(gamma.argmax(axis=1), minlength=len(labels)) / len(gamma)
    return {
        "users": len(gamma),
        "aspects": [
            {
                "name": name,
                "label": text,
                "mean": float(gamma[:, column].mean()),
                "deviation": float(gamma[:, column].std()),
                "quartiles": [float(q) for q in np.quantile(gamma[:, column], (0.25, 0.5, 0.75))],
                "largest": float(largest[column]),
            }
            for column, (name, text) in enumerate(labels.items())
        ],
    }


def draw_population(path: Path, gamma: np.ndarray, labels: Mapping[str, str], title: str) -> None:
    """Draws the distribution of each aspect's weight over users, with mean and deviation, as PNG, written atomically.

    Args:
        path: of the file.
        gamma: f[U, A], each user's mean weights of the aspects.
        labels: name of each aspect, in their order -> its label for people.
        title: which model on which data, and `stand-in` where the data are generated.

    Raises:
        ValueError: as `population`.
    """
    summary = population(gamma, labels)
    figure = blank(7.5, 3.4)
    figure.suptitle(f"{title}\nweights of aspects over {summary['users']:,} users", fontsize=10)
    axes = figure.subplots(1, len(labels), sharey=True, squeeze=False)[0]
    for place, (axis, aspect) in enumerate(zip(axes, summary["aspects"])):
        colour = COLOURS[place % len(COLOURS)]
        axis.hist(np.asarray(gamma)[:, place], bins=np.linspace(0, 1, 26), color=colour, alpha=0.8)
        mean, deviation = aspect["mean"], aspect["deviation"]
        axis.axvspan(max(mean - deviation, 0), min(mean + deviation, 1), color=INK, alpha=0.12, linewidth=0)
        axis.axvline(mean, color=INK, linewidth=1.2)
        axis.set_title(f"{aspect['label']}: {mean:.3f} ± {deviation:.3f}", fontsize=9, loc="left")
        axis.set_xlabel(f"largest weight of {aspect['largest']:.0%} of users", fontsize=8)
        axis.set_xlim(0, 1)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    axes[0].set_ylabel("users", fontsize=8)
    save(figure, path)
