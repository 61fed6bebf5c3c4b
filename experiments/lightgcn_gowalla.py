"""LightGCN on Gowalla (He et al., SIGIR 2020) with the paper's settings; the files are yours to bring.

    python -m experiments.lightgcn_gowalla --data.dir ~/gowalla                    # 1,000 epochs
    python -m experiments.lightgcn_gowalla --data.dir ~/gowalla --preset epoch5    # a check of the start

The folder holds train.txt and test.txt of the NGCF and LightGCN releases (github.com/kuandeng/LightGCN, Data/gowalla):
29,858 users, 40,981 items, 810,128 training and 217,242 test pairs, no links. Nothing is tuned, so there is no
validation part and the last epoch counts; all items are ranked. NDCG@20 is the authors': its ideal list has
min(test items, 20) items.

Expect Recall@20 0.107 and NDCG@20 0.089 at epoch 5, 0.182 and 0.155 at epoch 1,000 (published; not run here).

What differs from the authors' code. It draws a user, then one of their items, each user equally often; here each pair
comes once an epoch, as in the paper's loss. Its log counts epochs from 0, so that its epoch 5 is the sixth,
and `--preset epoch5` trains six. Its first version started from Xavier's distribution, as the paper and this file;
later ones from a normal one of deviation 0.1 (`--model.start normal --model.init-std 0.1`).
"""

import dataclasses
import sys

from socialjax.data.sources import DataSettings
from socialjax.models.cf.lightgcn import LightGCN
from socialjax.run.execute import main
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.train.step import TrainSettings

# Their lambda 1e-4 multiplies half of the squared norms (models/cf/lightgcn.py).
PAPER = LightGCN(dim=64, depth=3, negatives=1, l2=5e-5, item_bias=False, start="xavier")
TRAIN = TrainSettings(epochs=1000, batch_size=2048, learning_rate=1e-3, evaluate_every=10, patience=0)
REPORTED = (
    {
        "name": "LightGCN, the authors' PyTorch code",
        "note": "3 layers, epoch 5",
        "metrics": {"Recall@20": 0.1071, "NDCG@20": 0.0894},
    },
    {
        "name": "LightGCN, the authors' PyTorch code",
        "note": "3 layers, 1,000 epochs",
        "metrics": {"Recall@20": 0.1824, "NDCG@20": 0.1547},
    },
    {
        "name": "LightGCN, the paper",
        "note": "3 layers, epoch chosen on test",
        "metrics": {"Recall@20": 0.1823, "NDCG@20": 0.1555},
    },
)

DEFAULT = Experiment(
    model=PAPER,
    data=DataSettings(name="gowalla", validation="none"),
    train=TRAIN,
    eval=EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(10, 20)),
)
DEFINITION = Definition(
    name="lightgcn_gowalla",
    summary=__doc__,
    default=DEFAULT,
    presets={"epoch5": dataclasses.replace(DEFAULT, train=dataclasses.replace(TRAIN, epochs=6))},
    sweeps={"depth": [{"depth": k} for k in range(5)]},
    reported=REPORTED,
)

if __name__ == "__main__":
    sys.exit(main(DEFINITION))
