"""Top 20 of all users by implicit's `recommend`, training items left out, one thread. Arguments: data.npz, calls."""

import sys
import time

import numpy as np
import scipy.sparse as sp
from implicit.cpu.bpr import BayesianPersonalizedRanking
from measure import report, since_start, training_data

DIM, K = 64, 20


def main() -> None:
    data, draw = training_data(), np.random.default_rng(0)
    users, items = int(data["num_users"]), int(data["num_items"])
    ones = np.ones(len(data["user"]), np.float32)
    taken = sp.csr_matrix((ones, (data["user"], data["item"])), shape=(users, items))
    model = BayesianPersonalizedRanking(factors=DIM, num_threads=1)
    of_users, of_items, bias = (
        draw.normal(size=s).astype(np.float32) for s in ((users, DIM), (items, DIM), (items, 1))
    )
    model.user_factors = np.hstack([of_users, np.ones((users, 1), np.float32)])  # the last column carries the bias
    model.item_factors = np.hstack([of_items, bias])
    spent = []
    for _ in range(1 + int(sys.argv[2])):
        start = time.process_time()
        model.recommend(np.arange(users), taken, N=K, filter_already_liked_items=True)
        spent.append(time.process_time() - start)
        if len(spent) == 1:
            first = since_start()
    report("implicit", "numpy", seconds=float(np.median(spent[1:])), first_step_seconds=first)


main()
