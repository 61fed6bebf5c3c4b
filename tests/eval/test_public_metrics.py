"""Accuracy of whole rankings as ir_measures has it, which asks TREC's own trec_eval."""

import ir_measures
import numpy as np

from socialjax.eval.metrics import Counts, per_user

KS = (1, 3, 5, 10)
# Ours -> theirs. RR and AP are called MRR and MAP once they are means over users.
NAMES = {"Hit": "Success", "Recall": "R", "Precision": "P", "NDCG": "nDCG", "MRR": "RR", "MAP": "AP", "HR": "R"}
# HR is that of DiffNet's code and MAP that of the field: both divide by min(T, K) of a user's T positives, and
# trec_eval's R and AP by T, which no list of K items can reach where T is larger.
OF_REACHABLE = ("HR", "MAP")


def test_metrics_equal_those_of_trec_eval():
    rng = np.random.default_rng(0)
    num_users, num_items = 80, 60
    scores = rng.permuted(np.tile(np.arange(num_items, dtype=np.float32), (num_users, 1)), axis=1)  # no ties
    is_positive = np.zeros((num_users, num_items), bool)
    for user in range(num_users):
        is_positive[user, rng.choice(num_items, rng.integers(1, 16), replace=False)] = True

    taken = [{str(i): int(is_positive[u, i]) for i in range(num_items)} for u in range(num_users)]
    ranked = [{str(i): float(scores[u, i]) for i in range(num_items)} for u in range(num_users)]
    wanted = [ir_measures.parse_measure(f"{name}@{k}") for name in set(NAMES.values()) for k in KS]
    found = ir_measures.iter_calc(wanted, dict(zip(map(str, range(num_users)), taken)),
                                  dict(zip(map(str, range(num_users)), ranked)))  # fmt: skip
    theirs = {(str(one.measure), int(one.query_id)): one.value for one in found}

    sizes = is_positive.sum(axis=1)
    higher = [int((scores[u][~is_positive[u]] > scores[u, i]).sum()) for u, i in zip(*np.nonzero(is_positive))]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    counts = Counts(offsets, scores[is_positive], np.array(higher), np.zeros(len(higher), np.int32), num_items - sizes)
    ours = per_user(counts, KS)
    for name, other in NAMES.items():
        for k in KS:
            expected = np.array([theirs[f"{other}@{k}", user] for user in range(num_users)])
            if name in OF_REACHABLE:
                expected *= sizes / np.minimum(sizes, k)
            np.testing.assert_allclose(ours[f"{name}@{k}"], expected, atol=1e-6, err_msg=f"{name}@{k}")
