"""Social and multimedia recommendation in JAX and Flax."""

import importlib
import typing

if typing.TYPE_CHECKING:  # what type checkers and editors read; the same names as _PLACES, which a test compares
    from socialjax.data.schema import Dataset as Dataset
    from socialjax.data.sources import DATASETS as DATASETS
    from socialjax.data.sources import DataSettings as DataSettings
    from socialjax.data.sources import load_dataset as load_dataset
    from socialjax.eval.beyond import METRICS as METRICS
    from socialjax.fitting import fit as fit
    from socialjax.fitting import load as load
    from socialjax.models import MODELS as MODELS
    from socialjax.ops.losses import LOSSES as LOSSES
    from socialjax.recommender import Run as Run
    from socialjax.report.compare import compare as compare
    from socialjax.train.step import OPTIMIZERS as OPTIMIZERS
    from socialjax.train.step import TrainSettings as TrainSettings
    from socialjax.train.writers import WRITERS as WRITERS

__version__ = "0.1.0"

# What is imported from where, and only when it is asked for, so that importing socialjax stays cheap.
_PLACES = {
    "Dataset": "socialjax.data.schema",
    "load_dataset": "socialjax.data.sources",
    "DataSettings": "socialjax.data.sources",
    "DATASETS": "socialjax.data.sources",
    "TrainSettings": "socialjax.train.step",
    "MODELS": "socialjax.models",
    "LOSSES": "socialjax.ops.losses",
    "OPTIMIZERS": "socialjax.train.step",
    "WRITERS": "socialjax.train.writers",
    "METRICS": "socialjax.eval.beyond",
    "fit": "socialjax.fitting",
    "load": "socialjax.fitting",
    "Run": "socialjax.recommender",
    "compare": "socialjax.report.compare",
}
__all__ = ["__version__", *_PLACES]


if not typing.TYPE_CHECKING:  # a checker knows all names above, and reports any other

    def __getattr__(name: str):
        if name not in _PLACES:
            raise AttributeError(f"module 'socialjax' has no attribute {name!r}; it has {', '.join(__all__)}")
        return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
