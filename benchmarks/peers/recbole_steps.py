"""Steps of RecBole's BPR or LightGCN with its own loader and Adam: CPU seconds. Arguments: data.npz, model."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from measure import report, timed_steps, training_data
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model

BATCH = 2048
STEPS = {"BPR": (3, 5, 32), "LightGCN": (3, 5, 8)}  # warm, calls, steps of a call


def main() -> None:
    name = sys.argv[2]
    torch.set_num_threads(1)
    data = training_data()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pairs").mkdir()
        rows = np.stack([data["user"], data["item"]], axis=1)
        file = Path(folder) / "pairs" / "pairs.inter"
        np.savetxt(file, rows, fmt="%d", delimiter="\t", header="user_id:token\titem_id:token", comments="")
        settings = {
            "data_path": folder,
            "embedding_size": 64,
            "n_layers": 3,
            "train_batch_size": BATCH,
            "use_gpu": False,
            "eval_args": {"split": {"RS": [1.0, 0, 0]}, "order": "RO", "mode": "full", "group_by": "none"},
        }
        words, sys.argv = sys.argv, sys.argv[:1]  # RecBole reads settings from the command line as well
        config = Config(model=name, dataset="pairs", config_dict=settings)
        sys.argv = words
        loader = data_preparation(config, create_dataset(config))[0]
    model = get_model(name)(config, loader.dataset)
    adam = torch.optim.Adam(model.parameters(), lr=config["learning_rate"])
    batches = iter(loader)

    def step() -> float:
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            batch = next(batches)
        adam.zero_grad()
        loss = model.calculate_loss(batch).sum()
        loss.backward()
        adam.step()
        return float(loss.detach())

    report("recbole", "torch", "numpy", **timed_steps(step, *STEPS[name]))


main()
