"""The features that DiffNet and DiffNet++ are given."""

import numpy as np


def features_for(model, columns) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(f32[U, F], f32[I, F]) of a data set, None for what it has not or the model does not use.

    model: has `use_features` and `variant`. Raises ValueError for two widths in the variant `released`, whose layer
    serves users and items.
    """
    found = (columns.user_features, columns.item_features) if model.use_features else (None, None)
    if model.variant == "released" and all(f is not None for f in found):
        widths = [f.shape[1] for f in found]
        if widths[0] != widths[1]:
            raise ValueError(
                "variant 'released' shares one layer between user and item features, so both must have one width, "
                f"got {widths[0]} and {widths[1]}; use --model.variant paper, or features of one width"
            )
    return found
