"""DiffNet on Flickr (Wu et al., SIGIR 2019), the authors' split, ids only.

    python -m experiments.diffnet_flickr
    python -m experiments.diffnet_flickr --preset authors    # D = 32, squared loss, 8 negatives, 300 epochs
    python -m experiments.diffnet_flickr --sweep depth       # K = 0..4; also dim, variant, loss

Expect on 2 cores: 5 minutes a seed, HR@10 0.152, NDCG@10 0.119 (sampled1000-strict; popularity 0.081, 0.064).
"""

import dataclasses
import sys

from experiments import diffnet_yelp
from socialjax.data.sources import DataSettings
from socialjax.run.execute import main
from socialjax.run.settings import Definition

DATA = DataSettings(name="flickr")
DEFAULT = dataclasses.replace(diffnet_yelp.DEFAULT, data=DATA)
DEFINITION = Definition(
    name="diffnet_flickr",
    summary=__doc__,
    default=DEFAULT,
    presets={"authors": dataclasses.replace(diffnet_yelp.DEFINITION.presets["authors"], data=DATA)},
    sweeps=diffnet_yelp.SWEEPS,
    reported=(
        {
            "name": "matrix factorisation, GRecX",
            "note": "ids only, D = 64, epoch not chosen on validation",
            "metrics": {"NDCG@10": 0.1072},
        },
    ),
)

if __name__ == "__main__":
    sys.exit(main(DEFINITION))
