"""Every model on DiffNet's Yelp split, ids only, D = 64: the table of baselines.

    python -m experiments.baselines_yelp                          # all models, seeds 0-4
    python -m experiments.baselines_yelp --only bpr lightgcn      # some of them
    python -m experiments.baselines_yelp --sweep dim              # D = 16, 32, 64; also depth
    python -m experiments.baselines_yelp --jobs 2                 # two models at a time, a core each

The same command goes on with what was stopped, reads what has finished, and runs a model again whose code or settings
have changed since. The settings of six models (docs/tables.md) were searched with `python -m socialjax tune MODEL
--data.name yelp`, 16 trials each on validation alone; those of the others by an older search of 8. One row more, marked
so, was searched longer, by hand, on validation too.
Expect on 2 cores: 3 to 5 hours; matrix factorisation takes 2 minutes a seed, graph models 2 to 8.
"""

import dataclasses
import sys

from socialjax.data.sources import DataSettings
from socialjax.run.study.baselines import main
from socialjax.run.study.settings import Setting, Study
from socialjax.train.step import TrainSettings

TRAIN = TrainSettings(epochs=400, evaluate_every=4, patience=60)  # no run needs all of its epochs
SOFTMAX_16 = {"objective": "softmax", "negatives": 16, "l2": 0.05, "dropout": 0.6}
SOFTMAX_32 = {"objective": "softmax", "negatives": 32, "l2": 0.04, "dropout": 0.2}
BCE_4 = {"objective": "bce", "negatives": 4, "l2": 0.02, "dropout": 0.5}
SLOW_16 = {"objective": "softmax", "negatives": 16, "l2": 0.058, "dropout": 0.08}
SLOW = dataclasses.replace(TRAIN, learning_rate=0.0033)
SETTINGS = {
    "bpr": Setting(SOFTMAX_16, TRAIN),
    "fm": Setting(SOFTMAX_16, TRAIN),
    "svdpp": Setting(BCE_4, TRAIN),
    "trust_svd": Setting(BCE_4, TRAIN),
    "social_mf": Setting({**SLOW_16, "social_weight": 0.28}, SLOW),
    "soreg": Setting({**SOFTMAX_16, "l2": 0.001, "dropout": 0.2}, TRAIN),
    "context_mf": Setting(SOFTMAX_16, TRAIN),
    "gcmc": Setting(SOFTMAX_16, TRAIN),
    "pinsage": Setting(SOFTMAX_32, TRAIN),
    "lightgcn": Setting(SOFTMAX_32, TRAIN),
    "lr_gccf": Setting(SOFTMAX_16, TRAIN),
    "diffnet": Setting({**SLOW_16, "depth": 1, "layers": "all", "exclude_target": True}, SLOW),
    "diffnet_pp": Setting(SOFTMAX_16, TRAIN),
    "social_lightgcn": Setting({**SLOW_16, "depth": 1, "social_weight": 0.79, "node_dropout": 0.01}, SLOW),
    "social_lightgcn-longer-search": Setting(
        {**SOFTMAX_32, "depth": 2, "social_weight": 0.5, "node_dropout": 0.4}, TRAIN, model="social_lightgcn"
    ),
}
SWEEPS = {
    "dim": (("bpr", "lightgcn", "diffnet"), tuple({"dim": dim} for dim in (16, 32, 64))),
    "depth": (("lightgcn", "diffnet"), tuple({"depth": depth} for depth in range(4))),
}
STUDY = Study(
    name="baselines_yelp",
    summary=__doc__,
    data=DataSettings(name="yelp"),
    settings=SETTINGS,
    sweeps=SWEEPS,
    ids_only="experiments.features_yelp",
    only_with_features={"fm": "a factorisation machine of ids alone is bpr"},
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
