"""Every model on DiffNet's Yelp split, ids only, D = 64: the table of baselines.

    python -m experiments.baselines_yelp                          # all models, seeds 0-4
    python -m experiments.baselines_yelp --only bpr lightgcn      # some of them
    python -m experiments.baselines_yelp --sweep dim              # D = 16, 32, 64; also depth
    python -m experiments.baselines_yelp --jobs 2                 # two models at a time, a core each

The same command goes on with what was stopped, reads what has finished, and runs a model again whose code or settings
have changed since. The settings are provisional, the same for every model; `python -m experiments.tune MODEL
--data.name yelp` finds each model's own, on validation alone.
Expect on 2 cores: 3 to 6 hours; matrix factorisation takes 3 minutes a seed, graph models about 5.
"""

import sys

from socialjax.data.sources import DataSettings
from socialjax.run.study.baselines import main
from socialjax.run.study.settings import Study
from socialjax.train.settings import TrainSettings

LOSS = {"objective": "softmax", "negatives": 16, "l2": 0.03, "dropout": 0.2}
TRAIN = TrainSettings(epochs=180)
SETTINGS = {
    "bpr": (LOSS, TRAIN),
    "fm": (LOSS, TRAIN),
    "svdpp": (LOSS, TRAIN),
    "trust_svd": (LOSS, TRAIN),
    "social_mf": (LOSS, TRAIN),
    "soreg": (LOSS, TRAIN),
    "context_mf": (LOSS, TRAIN),
    "gcmc": (LOSS, TRAIN),
    "pinsage": (LOSS, TRAIN),
    "lightgcn": (LOSS, TRAIN),
    "lr_gccf": (LOSS, TRAIN),
    "diffnet": ({**LOSS, "layers": "all", "exclude_target": True}, TRAIN),
    "diffnet_pp": (LOSS, TRAIN),
    "social_lightgcn": (LOSS, TRAIN),
}
SWEEPS = {
    "dim": (("bpr", "lightgcn", "diffnet"), (16, 32, 64)),
    "depth": (("lightgcn", "diffnet"), (0, 1, 2, 3)),
}
STUDY = Study(
    name="baselines_yelp",
    summary=__doc__,
    data=DataSettings(name="yelp"),
    settings=SETTINGS,
    sweeps=SWEEPS,
    only_with_features={"fm": "a factorisation machine of ids alone is bpr"},
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
