"""How well attributes of pictures are classified: accuracy, balanced accuracy and what the most frequent class gets.

Labels are partial (-1: nobody looked) and classes are uneven, so that each attribute is judged on its own labelled
pictures, each class on its own pictures, and the most frequent class stands beside as the line to beat.
"""

from collections.abc import Sequence

import numpy as np

UNLABELLED = -1


def accuracies(
    labels: np.ndarray,
    predicted: np.ndarray,
    names: Sequence[str],
    classes: Sequence[Sequence[str]],
    train_labels: np.ndarray | None = None,
) -> dict[str, dict]:
    """labels i[N, K], -1 where unlabelled, predicted i[N, K] -> ready for JSON, for each attribute by name:

        labelled            pictures with a label
        accuracy            right of these
        balanced_accuracy   mean over the classes that occur of the share of their pictures that are right
        majority            accuracy of the class most frequent in train_labels i[M, K]; without those, in labels
        majority_class      its name
        classes             name -> {"labelled", "accuracy"}, accuracy None where no picture has the class

    An attribute without labelled pictures has `labelled` 0 and no figures. Raises ValueError for shapes that do not
    fit and for classes out of range.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    _check(labels, predicted, names, classes)
    found = {}
    for k, name in enumerate(names):
        known = labels[:, k] != UNLABELLED
        found[name] = {"labelled": int(known.sum())}
        if known.any():
            seen = known if train_labels is None else train_labels[:, k] != UNLABELLED
            source = (labels if train_labels is None else train_labels)[seen, k]
            found[name] |= _of_attribute(labels[known, k], predicted[known, k], classes[k], source)
    return found


def mean_accuracy(found: dict[str, dict], figure: str = "accuracy") -> float | None:
    """Mean of a figure over the attributes that have it; None where none has."""
    values = [of[figure] for of in found.values() if figure in of]
    return float(np.mean(values)) if values else None


def _of_attribute(true: np.ndarray, predicted: np.ndarray, classes: Sequence[str], source: np.ndarray) -> dict:
    right = true == predicted
    count = np.bincount(true, minlength=len(classes))
    hits = np.bincount(true, right, minlength=len(classes))
    share = hits / np.maximum(count, 1)
    # Without a training label every class is as frequent; the first then stands for the line.
    often = int(np.argmax(np.bincount(source, minlength=len(classes))))
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(share[count > 0].mean()),
        "majority": float((true == often).mean()),
        "majority_class": str(classes[often]),
        "classes": {
            str(name): {"labelled": int(n), "accuracy": float(s) if n else None}
            for name, n, s in zip(classes, count, share)
        },
    }


def _check(labels, predicted, names, classes) -> None:
    if labels.ndim != 2 or labels.shape != predicted.shape or labels.shape[1] != len(names):
        raise ValueError(
            f"wanted labels and predicted of shape (pictures, {len(names)}), one column for each attribute, got "
            f"{labels.shape} and {predicted.shape}"
        )
    for k, name in enumerate(names):
        known = labels[:, k] != UNLABELLED
        for what, column in (("labels", labels[:, k]), ("predicted", predicted[known, k])):
            lowest = UNLABELLED if what == "labels" else 0
            if len(column) and not (lowest <= column.min() and column.max() < len(classes[k])):
                raise ValueError(
                    f"{what} of '{name}' must lie in {lowest}..{len(classes[k]) - 1}, got {column.min()}.."
                    f"{column.max()}; number classes as the attribute lists them"
                )
