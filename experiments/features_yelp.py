"""DiffNet, DiffNet++ and FM on Yelp with the authors' review features, and each without them beside.

    python -m experiments.features_yelp                          # all rows, seeds 0-4
    python -m experiments.features_yelp --only diffnet diffnet-ids    # some of them
    python -m experiments.features_yelp --data.dir FOLDER        # features from there

The features (user_vector.npy, item_vector.npy, 32 MB) are published at github.com/PeiJieSun/diffnet, folder
diffnet-tensorflow-v1-python3/data/yelp, and are downloaded when they are not at hand; where they cannot be had, the
command ends with an error and trains nothing. They were not at hand where these settings were made: the scale of
DiffNet's features was chosen on validation with simulated ones (docs/diffnet.md), all else is the setting for ids only.
`python -m experiments.diffnet_yelp --preset features-32` shows one run beside the authors' figures, by their protocol
and at their width.

Expect on 2 cores: 5 minutes a seed and row, DiffNet++ 10 and more (estimated from short runs).
"""

import sys

from experiments.diffnet_yelp import WITH_FEATURES
from socialjax.run.study.baselines import main
from socialjax.run.study.settings import Setting, Study
from socialjax.train.step import TrainSettings

TRAIN = TrainSettings(epochs=200, evaluate_every=4, patience=40)
SOFTMAX = {"objective": "softmax", "negatives": 16, "l2": 0.05, "dropout": 0.6}
DIFFNET = {**SOFTMAX, "layers": "all", "exclude_target": True, "feature_scale": 0.02}
PAPER = {**DIFFNET, "variant": "paper", "activation": "tanh", "feature_scale": 0.05}
IDS = {"use_features": False}
SETTINGS = {
    "diffnet": Setting(DIFFNET, TRAIN),
    "diffnet-32": Setting({**DIFFNET, "dim": 32}, TRAIN, model="diffnet"),
    "diffnet-ids": Setting(DIFFNET | IDS, TRAIN, model="diffnet"),
    "diffnet-paper": Setting(PAPER, TRAIN, model="diffnet"),
    "diffnet-paper-ids": Setting(PAPER | IDS, TRAIN, model="diffnet"),
    "diffnet_pp": Setting(SOFTMAX, TRAIN),
    "diffnet_pp-ids": Setting(SOFTMAX | IDS, TRAIN, model="diffnet_pp"),
    "fm": Setting(SOFTMAX, TRAIN),
    "fm-ids": Setting(SOFTMAX | IDS, TRAIN, model="fm"),
}
STUDY = Study(name="features_yelp", summary=__doc__, data=WITH_FEATURES.data, settings=SETTINGS, over="diffnet-ids")

if __name__ == "__main__":
    sys.exit(main(STUDY))
