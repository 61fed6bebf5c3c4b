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
from socialjax.run.study.settings import Setting, Study
from socialjax.train.settings import TrainSettings

LOSS = {"objective": "softmax", "negatives": 16, "l2": 0.03, "dropout": 0.2}
TRAIN = TrainSettings(epochs=180)
SETTINGS = {
    "bpr": Setting(LOSS, TRAIN),
    "fm": Setting(LOSS, TRAIN),
    "svdpp": Setting(LOSS, TRAIN),
    "trust_svd": Setting(LOSS, TRAIN),
    "social_mf": Setting(LOSS, TRAIN),
    "soreg": Setting(LOSS, TRAIN),
    "context_mf": Setting(LOSS, TRAIN),
    "gcmc": Setting(LOSS, TRAIN),
    "pinsage": Setting(LOSS, TRAIN),
    "lightgcn": Setting(LOSS, TRAIN),
    "lr_gccf": Setting(LOSS, TRAIN),
    "diffnet": Setting({**LOSS, "layers": "all", "exclude_target": True}, TRAIN),
    "diffnet_pp": Setting(LOSS, TRAIN),
    "social_lightgcn": Setting(LOSS, TRAIN),
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
    only_with_features={"fm": "a factorisation machine of ids alone is bpr"},
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
