"""How well attributes of pictures are classified and located, beside baselines that ignore the picture.

Classification: accuracy and balanced accuracy. Labels are partial (-1: not annotated) and classes are uneven, so each
attribute is evaluated on its own labelled pictures, each class on its own pictures, and the baseline is the most
frequent class.

Location: pointing game, overlap of boxes, mass of maps inside the object. Boxes are (x0, y0, x1, y1), half-open, in
fractions of the picture's width and height; a picture may have several true boxes of one attribute (two sleeves),
padded with NaN, and the best one counts. Maps of any size cover the whole picture.
"""

from collections.abc import Mapping, Sequence

import numpy as np

UNLABELLED = -1


def accuracies(
    labels: np.ndarray,
    predicted: np.ndarray,
    names: Sequence[str],
    classes: Sequence[Sequence[str]],
    train_labels: np.ndarray | None = None,
) -> dict[str, dict]:
    """Accuracy of the classes of each attribute.

    Args:
        labels: i[N, K], -1 where unlabelled.
        predicted: i[N, K].
        names: of the attributes.
        classes: names of the classes of each.
        train_labels: i[M, K], for the most frequent class; that of `labels` without.

    Returns:
        Ready for JSON, for each attribute by name:

            labelled            pictures with a label
            accuracy            share of these that is right
            balanced_accuracy   mean over the classes that occur of the share of their pictures that is right
            majority            accuracy of the most frequent class
            majority_class      its name
            classes             name -> {"labelled", "accuracy"}, accuracy None where no picture has the class

        An attribute without labelled pictures has `labelled` 0 and no figures.

    Raises:
        ValueError: shapes that do not fit, or classes out of range.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    _check(labels, predicted, names, classes)
    result = {}
    for k, name in enumerate(names):
        known = labels[:, k] != UNLABELLED
        result[name] = {"labelled": int(known.sum())}
        if known.any():
            seen = known if train_labels is None else train_labels[:, k] != UNLABELLED
            source = (labels if train_labels is None else train_labels)[seen, k]
            result[name] |= _of_attribute(labels[known, k], predicted[known, k], classes[k], source)
    return result


def _of_attribute(true: np.ndarray, predicted: np.ndarray, classes: Sequence[str], source: np.ndarray) -> dict:
    right = true == predicted
    count = np.bincount(true, minlength=len(classes))
    hits = np.bincount(true, right, minlength=len(classes))
    share = hits / np.maximum(count, 1)
    # Without a training label all classes are equally frequent; the first is then the baseline.
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


PLACES = 16  # positions of a box along each side of the picture, for its expected overlap


def points_inside(maps: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The pointing game (Zhang et al., Top-down Neural Attention by Excitation Backprop, ECCV 2016).

    Args:
        maps: f[N, h, w].
        boxes: f[N, B, 4], true boxes.

    Returns:
        f64[N], 1 where the centre of the map's largest cell lies in a true box; where several cells are equally large,
        the share of them that does. An empty map points nowhere: 0.
    """
    height, width = maps.shape[1:]
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    x0, y0, x1, y1 = np.moveaxis(boxes[..., None, None], 2, 0)  # f[N, B, 1, 1] each; nothing compares with NaN
    inside = ((x0 <= x) & (x < x1) & (y0 <= y[:, None]) & (y[:, None] < y1)).any(axis=1)
    top = maps.max(axis=(1, 2), keepdims=True)
    largest = (maps == top) & (top > 0)
    return (largest & inside).sum(axis=(1, 2)) / np.maximum(largest.sum(axis=(1, 2)), 1)


def covered(boxes: np.ndarray) -> np.ndarray:
    """The share of the picture inside the union of the boxes, which is the chance level of the pointing game.

    Args:
        boxes: f[N, B, 4].

    Returns:
        f64[N].
    """
    boxes = np.clip(boxes, 0, 1)
    there = ~np.isnan(boxes).any(axis=2)
    boxes = np.where(there[..., None], boxes, 0.0)
    size = len(boxes), 2 * boxes.shape[1]
    x, y = np.sort(boxes[..., [0, 2]].reshape(size)), np.sort(boxes[..., [1, 3]].reshape(size))
    # Between two neighbouring edges a box is everywhere or nowhere, so that the middle represents the whole cell.
    middle_x, middle_y = (x[:, 1:] + x[:, :-1]) / 2, (y[:, 1:] + y[:, :-1]) / 2
    x0, y0, x1, y1 = np.moveaxis(boxes[..., None], 2, 0)
    across = (x0 <= middle_x[:, None]) & (middle_x[:, None] < x1)
    down = (y0 <= middle_y[:, None]) & (middle_y[:, None] < y1)
    inside = (down[..., :, None] & across[..., None, :]).any(axis=1)
    return np.einsum("nyx,ny,nx->n", inside, np.diff(y), np.diff(x))


def best_overlap(predicted: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of predicted boxes f[N, 4] with the best fitting of the true ones f[N, B, 4]: f64[N]."""
    low, high = np.maximum(predicted[:, None, :2], boxes[..., :2]), np.minimum(predicted[:, None, 2:], boxes[..., 2:])
    both = np.prod(np.maximum(high - low, 0), axis=2)
    area = lambda corners: np.prod(corners[..., 2:] - corners[..., :2], axis=-1)  # noqa: E731
    return np.nan_to_num(both / np.maximum(area(predicted)[:, None] + area(boxes) - both, 1e-12)).max(axis=1)


def overlap_anywhere(predicted: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The mean of `best_overlap` over all positions of each predicted box in the picture, its size kept: f64[N]."""
    free = np.maximum(1 - (predicted[:, 2:] - predicted[:, :2]), 0)
    total = np.zeros(len(predicted))
    steps = np.linspace(0, 1, PLACES)
    for across in steps:
        for down in steps:
            corner = free * np.array([across, down])
            moved = np.concatenate([corner, corner + predicted[:, 2:] - predicted[:, :2]], axis=1)
            total += best_overlap(moved, boxes)
    return total / PLACES**2


def mass_inside(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of each map's mass inside a mask.

    Args:
        maps: f[N, h, w].
        masks: bool[N, H, W].

    Returns:
        The share, f64[N], NaN for empty maps; and the share of the picture inside the mask, f64[N], which is what a
        uniform map gets.
    """
    rows, columns = (_shares(size, of) for size, of in zip(maps.shape[1:], masks.shape[1:]))
    part = np.einsum("hH,nHW,wW->nhw", rows, masks.astype(np.float64), columns, optimize=True)
    total = maps.sum(axis=(1, 2), dtype=np.float64)
    mass = (maps * part).sum(axis=(1, 2)) / np.where(total > 0, total, np.nan)
    return mass, masks.mean(axis=(1, 2))


def regions(
    labels: np.ndarray,
    maps: np.ndarray,
    predicted: np.ndarray,
    boxes: np.ndarray,
    names: Sequence[str],
    classes: Sequence[Sequence[str]],
    absent: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, dict]:
    """How well maps and boxes locate each attribute. Pictures without a true box are left out.

    Args:
        labels: i[N, K], -1 where unlabelled.
        maps: f[N, K, h, w].
        predicted: f[N, K, 4], boxes.
        boxes: f[N, K, B, 4], true boxes.
        names: of the attributes.
        classes: names of the classes of each.
        absent: attribute -> classes that are the absence of a feature ("no sleeves"), for which a map may highlight
            anything: they are not pooled.

    Returns:
        Ready for JSON, for each attribute by name {"pooled": figures, "classes": {class: figures}, "absent": classes}.
        figures: {"pictures", "empty" (maps), "pointing", "chance", "iou", "iou_half" (share of overlaps of at least
        0.5), "iou_whole" (of the whole picture), "iou_anywhere" (mean over all positions of the box)}; only the counts
        where there is no picture.

    Raises:
        ValueError: a name in `absent` is no class.
    """
    result = {}
    for k, name in enumerate(names):
        without = tuple((absent or {}).get(name, ()))
        if unknown := set(without) - set(classes[k]):
            raise ValueError(f"'{name}' has no class {sorted(unknown)}; it has {', '.join(classes[k])}")
        boxed = (labels[:, k] >= 0) & ~np.isnan(boxes[:, k]).any(axis=2).all(axis=1)
        figures = _figures(maps[boxed, k], predicted[boxed, k], boxes[boxed, k])
        own = labels[boxed, k]
        present = np.isin(own, [c for c, label in enumerate(classes[k]) if label not in without])
        by_class = {str(label): _means(figures, own == c) for c, label in enumerate(classes[k])}
        result[name] = {"pooled": _means(figures, present), "classes": by_class, "absent": list(without)}
    return result


def _figures(maps: np.ndarray, predicted: np.ndarray, boxes: np.ndarray) -> dict[str, np.ndarray]:
    iou = best_overlap(predicted, boxes)
    return {
        "pointing": points_inside(maps, boxes),
        "chance": covered(boxes),
        "iou": iou,
        "iou_half": iou >= 0.5,
        "iou_whole": best_overlap(np.broadcast_to([0.0, 0.0, 1.0, 1.0], predicted.shape), boxes),
        "iou_anywhere": overlap_anywhere(predicted, boxes),
        "empty": maps.max(axis=(1, 2), initial=0) <= 0,
    }


def _means(by_picture: dict[str, np.ndarray], rows: np.ndarray) -> dict:
    figures = {"pictures": int(rows.sum()), "empty": int(by_picture["empty"][rows].sum())}
    means = (
        {name: float(values[rows].mean()) for name, values in by_picture.items() if name != "empty"}
        if rows.any()
        else {}
    )
    return figures | means


def _shares(cells: int, pixels: int) -> np.ndarray:
    """f64[cells, pixels]: how much of each cell along one side each pixel is; rows sum to 1."""
    edge, pixel = np.arange(cells + 1) / cells, np.arange(pixels + 1) / pixels
    low, high = np.maximum(edge[:-1, None], pixel[:-1]), np.minimum(edge[1:, None], pixel[1:])
    return np.maximum(high - low, 0) * cells
