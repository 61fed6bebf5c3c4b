"""Metrics beyond accuracy of one generated set by public implementations: writes beyond_public.json beside it.

    public/bin/python tests/eval/beyond_public.py

The libraries are no dependencies of the tests: they want other versions of NumPy and pandas than socialjax, and RecBole
PyTorch. An environment for this script, whose figures are committed:

    python -m venv public && public/bin/pip install numpy scikit-learn "pandas<3" torch
    public/bin/pip install --no-deps recbole==1.2.1 rectools==0.19.0 recommenders==1.2.1 clayrs==0.5.1

and what they say is missing when they are imported. `one_set` is what both sides measure.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np

FIGURES = Path(__file__).with_name("beyond_public.json")
KS = (5, 10)
USERS, ITEMS, FEATURES = 120, 90, 6


def one_set():
    """Training pairs i32[N] and i32[N], lists i32[U, K] of what each user did not take, and features f32[I, F].

    Whole numbers from a fixed congruential generator, so that no version of NumPy changes them. Popular items have low
    numbers; the last ten were taken by nobody, and some of them are in lists.
    """
    state = 12345

    def draw(below):
        nonlocal state
        state = (1103515245 * state + 12345) % 2**31
        return (state >> 8) % below

    users, items, lists = [], [], []
    for user in range(USERS):
        took = sorted({draw(draw(ITEMS - 10) + 1) for _ in range(3 + draw(12))})
        users += [user] * len(took)
        items += took
        left = [item for item in range(ITEMS) if item not in took]
        scores = {item: 3 * draw(ITEMS) - item for item in left}
        lists.append(sorted(left, key=lambda item: (-scores[item], item))[: max(KS)])
    features = [[draw(21) - 8 for _ in range(FEATURES)] for _ in range(ITEMS)]
    return *(np.array(column, np.int32) for column in (users, items, lists)), np.array(features, np.float32)


def recbole(users, items, lists) -> dict[str, float]:
    """Coverage, Gini and Popularity."""
    from collections import Counter

    import torch
    from recbole.evaluator.collector import DataStruct
    from recbole.evaluator.metrics import AveragePopularity, GiniIndex, ItemCoverage

    found = DataStruct()
    found.set("rec.items", torch.from_numpy(lists.astype(np.int64)))
    found.set("data.num_items", ITEMS)
    found.set("data.count_items", Counter(items.tolist()))
    config = {"topk": list(KS), "metric_decimal_place": 12}
    names = {"Coverage": ItemCoverage, "Gini": GiniIndex, "Popularity": AveragePopularity}
    measured = {name: metric(config).calculate_metric(found) for name, metric in names.items()}
    return {f"{name}@{key.split('@')[1]}": float(v) for name, by in measured.items() for key, v in by.items()}


def rectools(users, items, lists) -> dict[str, float]:
    """Novelty."""
    import pandas as pd
    from rectools.metrics import MeanInvUserFreq

    before = pd.DataFrame({"user_id": users, "item_id": items})
    owners, ranks = np.repeat(np.arange(len(lists)), lists.shape[1]), np.tile(np.arange(lists.shape[1]) + 1, len(lists))
    given = pd.DataFrame({"user_id": owners, "item_id": lists.ravel(), "rank": ranks})
    return {f"Novelty@{k}": float(MeanInvUserFreq(k).calc(given, before)) for k in KS}


def recommenders(users, items, lists, features) -> dict[str, float]:
    """ILD and FeatureILD."""
    import pandas as pd
    from recommenders.evaluation.python_evaluation import diversity

    took = pd.DataFrame({"userID": users, "itemID": items})
    by_item = pd.DataFrame({"itemID": np.arange(len(features)), "features": list(features.astype(np.float64))})
    columns = {"col_user": "userID", "col_item": "itemID"}
    found = {}
    for k in KS:
        owners = np.repeat(np.arange(len(lists)), k)
        given = pd.DataFrame({"userID": owners, "itemID": lists[:, :k].ravel()}).astype(took.dtypes.to_dict())
        found[f"ILD@{k}"] = float(diversity(took, given, **columns))
        found[f"FeatureILD@{k}"] = float(
            diversity(took, given, by_item, "item_feature_vector", col_item_features="features", **columns)
        )
    return found


def clayrs(users, items, lists) -> dict[str, float]:
    """Lift, which is called Delta GAP there."""
    import importlib.util
    from types import ModuleType, SimpleNamespace

    # Its packages import readers of texts and pictures, with TensorFlow and others; the metrics need none of them.
    root = Path(importlib.util.find_spec("clayrs").origin).parent
    for name in ("", ".evaluation", ".evaluation.metrics", ".utils"):
        package = ModuleType(f"clayrs{name}")
        package.__path__ = [str(root.joinpath(*name.split(".")))]
        sys.modules[package.__name__] = package
    from clayrs.evaluation.metrics.fairness_metrics import DeltaGap
    from clayrs.evaluation.utils import get_avg_pop, get_item_popularity

    ratings = SimpleNamespace(unique_user_id_column=np.unique(users), item_id_column=items.tolist())
    popularity, everybody = get_item_popularity(ratings), set(range(len(lists)))
    gap = lambda rows: DeltaGap.calculate_gap(everybody, {u: get_avg_pop(rows[u], popularity) for u in everybody})  # noqa: E731
    before = gap([items[users == user].tolist() for user in range(len(lists))])
    return {f"Lift@{k}": float(DeltaGap.calculate_delta_gap(gap(lists[:, :k].tolist()), before)) for k in KS}


def main() -> int:
    users, items, lists, features = one_set()
    found = {
        "recbole": recbole(users, items, lists),
        "rectools": rectools(users, items, lists),
        "recommenders": recommenders(users, items, lists, features),
        "clayrs": clayrs(users, items, lists),
    }
    record = {name: {"version": importlib.metadata.version(name), "figures": by} for name, by in found.items()}
    FIGURES.write_text(json.dumps(record, indent=1) + "\n")
    print(FIGURES.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
