"""Social and multimedia recommendation in JAX and Flax."""

import importlib

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


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module 'socialjax' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
