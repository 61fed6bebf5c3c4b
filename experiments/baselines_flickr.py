"""Every model on DiffNet's Flickr split, ids only, D = 64: the table of baselines.

    python -m experiments.baselines_flickr                        # all models, seeds 0-4
    python -m experiments.baselines_flickr --only bpr lightgcn    # some of them
    python -m experiments.baselines_flickr --sweep depth          # K = 0..3; also dim
    python -m experiments.baselines_flickr --jobs 2               # two models at a time, a core each

The same command goes on with what was stopped, reads what has finished, and runs a model again whose code or settings
have changed since. The settings of bpr, svdpp, social_mf, diffnet and lightgcn were searched with `python -m socialjax
tune MODEL --data.name flickr`, 16 trials each on validation alone; those of the others by an older search on Yelp.
Expect on 2 cores: 5 to 9 hours; 3 to 10 minutes a seed and model, 20 for PinSage and DiffNet++.
"""

import dataclasses
import sys

from experiments import baselines_yelp
from experiments.baselines_yelp import SLOW, SLOW_16, SOFTMAX_16, SWEEPS, TRAIN
from socialjax.data.sources import DataSettings
from socialjax.run.study.baselines import main
from socialjax.run.study.settings import Setting, Study

SETTINGS = {
    **baselines_yelp.SETTINGS,
    "bpr": Setting({"objective": "bpr", "negatives": 1, "l2": 0.02, "dropout": 0.0}, TRAIN),
    "svdpp": Setting({"dropout": 0.02, "exclude_target": False}, dataclasses.replace(TRAIN, learning_rate=0.0014)),
    "social_mf": Setting({**SLOW_16, "social_weight": 0.28}, SLOW),
    "diffnet": Setting(SOFTMAX_16, TRAIN),
    "lightgcn": Setting(SOFTMAX_16, TRAIN),
    "social_lightgcn": Setting(
        {**SOFTMAX_16, "l2": 0.014, "dropout": 0.39, "depth": 3, "social_weight": 0.37, "node_dropout": 0.14},
        dataclasses.replace(TRAIN, learning_rate=0.0068),
    ),
}
STUDY = Study(
    name="baselines_flickr",
    summary=__doc__,
    data=DataSettings(name="flickr"),
    settings=SETTINGS,
    sweeps=SWEEPS,
    ids_only="socialjax train MODEL --data.name flickr",
    only_with_features={"fm": "a factorisation machine of ids alone is bpr"},
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
