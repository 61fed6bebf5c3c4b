"""The models by name: one line each. `MODELS` is what `python -m experiments.train` and saved runs choose from."""

from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.reference import Friends, Popular, Random
from socialjax.models.cf.svdpp import SVDpp
from socialjax.models.protocol import Model
from socialjax.models.social.diffnet import DiffNet

MODELS: dict[str, type[Model]] = {
    "bpr": BPR,
    "svdpp": SVDpp,
    "diffnet": DiffNet,
}

REFERENCES: dict[str, Model] = {  # they stand in every table
    "random": Random(),
    "popularity": Popular(),
    "friends + popularity": Friends(),
}


def name_of(model: Model) -> str:
    """The name a model is listed under. Raises ValueError for a class that is not listed."""
    for name, kind in MODELS.items():
        if type(model) is kind:
            return name
    raise ValueError(
        f"{type(model).__name__} is not listed in socialjax.models.MODELS ({', '.join(MODELS)}); add it there"
    )
