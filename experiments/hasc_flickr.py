"""HASC on the authors' small Flickr set, ids only, D = 15: the overall table, and what its attention is worth.

    python -m experiments.hasc_flickr                             # all rows, seeds 0-4
    python -m experiments.hasc_flickr --only bpr hasc             # some of them, with those they start from
    python -m experiments.hasc_flickr --sweep attention           # mean, maximum and attention, below and above: 3 x 3
    python -m experiments.hasc_flickr --sweep aspects             # uploads, social, creator: 7 subsets
    python -m experiments.hasc_flickr --jobs 2                    # two rows at a time, a core each

`bpr` is trained first. `bpr-continued` and the rows of HASC start from its parameters, seed by seed, and train for the
same further epochs: what HASC adds is what it adds to `bpr-continued`, shown in per cent. `hasc-past` also counts how
many of a user's favourites are of the image's owner, which the paper does not. The image features and social
embeddings of the authors are not published: attention reads the follow graph's leading eigenvectors, made from the
links, and no images. VBPR and VPOI need images and have no row; `--data.features FILE.npy` gives them one.
Expect on one core: 2 to 4 minutes a seed and row, ACF 9; test NDCG@10 BPR 0.357, HASC 0.356, hasc-past 0.434.
"""

import sys

from socialjax.data.sources import DataSettings
from socialjax.run.settings import EvalSettings
from socialjax.run.study.baselines import main
from socialjax.run.study.settings import Setting, Study
from socialjax.train.step import TrainSettings

LOSS = {"dim": 15, "objective": "softmax", "negatives": 32, "l2": 0.04, "dropout": 0.2}  # of `socialjax tune bpr`
TRAIN = TrainSettings(epochs=80, batch_size=8192, evaluate_every=2, patience=16)
FURTHER = TrainSettings(epochs=16, batch_size=8192, evaluate_every=2, patience=0)
MECHANISMS = ("avg", "max", "att")
STUDY = Study(
    name="hasc_flickr",
    summary=__doc__,
    data=DataSettings(name="hasc_fs"),
    settings={
        "bpr": Setting(LOSS, TRAIN),
        "bpr-continued": Setting(LOSS, FURTHER, model="bpr", start="bpr"),
        "soreg": Setting(LOSS, TRAIN),
        "context_mf": Setting(LOSS, TRAIN),
        "vbpr": Setting(LOSS, TRAIN),
        "vpoi": Setting(LOSS, TRAIN),
        "acf": Setting(LOSS, TRAIN),
        "hasc": Setting(LOSS, FURTHER, start="bpr"),
        "hasc-past": Setting({**LOSS, "owner_history": True}, FURTHER, model="hasc", start="bpr"),
    },
    sweeps={
        "attention": (("hasc",), tuple({"bottom": low, "top": high} for low in MECHANISMS for high in MECHANISMS)),
        "aspects": (("hasc",), tuple({"aspects": kept} for kept in ("U", "S", "C", "US", "UC", "SC", "USC"))),
    },
    over="bpr-continued",
    only_with_features={name: "has nothing to look at without image features" for name in ("vbpr", "vpoi")},
    eval=EvalSettings(
        protocol="sampled100-strict", also=("full",), validation_protocol="sampled100-strict", ks=(5, 10, 15, 20, 50)
    ),
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
