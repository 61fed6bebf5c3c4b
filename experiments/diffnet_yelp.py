"""DiffNet on Yelp (Wu et al., SIGIR 2019), ids only.

    python -m experiments.diffnet_yelp                       # the best setting found on validation
    python -m experiments.diffnet_yelp --preset authors      # D = 32, squared loss, 8 negatives, 300 epochs
    python -m experiments.diffnet_yelp --sweep depth         # K = 0..4; also dim, variant, loss
"""

import sys

from socialjax.data.sources import DataSettings
from socialjax.models.social.diffnet import DiffNet
from socialjax.run.execute import main
from socialjax.run.settings import Definition, Experiment
from socialjax.train.loop import TrainSettings

BEST = DiffNet(
    layers="all", objective="softmax", negatives=8, l2=0.05, dropout=0.3, exclude_target=True
)
DEFINITION = Definition(
    name="diffnet_yelp",
    summary="DiffNet on the authors' Yelp split.",
    default=Experiment(model=BEST, data=DataSettings(name="yelp"), train=TrainSettings()),
)

if __name__ == "__main__":
    sys.exit(main(DEFINITION))
