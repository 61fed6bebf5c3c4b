"""BPR by implicit or cornac, D = 64, one thread: CPU seconds a pair. Arguments: data.npz, the library."""

import sys
import time

import numpy as np
import scipy.sparse as sp
from measure import report, since_start, training_data

DIM, EPOCHS = 64, 20


def implicit_fit(data: dict):
    """fit(epochs) of implicit's BPR, which verifies that negatives were not taken, as ours does."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    ones = np.ones(len(data["user"]), np.float32)
    matrix = sp.csr_matrix((ones, (data["user"], data["item"])), shape=(data["num_users"], data["num_items"]))

    def fit(epochs):
        model = BayesianPersonalizedRanking(factors=DIM, iterations=epochs, num_threads=1, random_state=0)
        model.fit(matrix, show_progress=False)

    return fit


def cornac_fit(data: dict):
    """fit(epochs) of cornac's BPR."""
    from cornac.data import Dataset
    from cornac.models import BPR

    triples = zip(data["user"].tolist(), data["item"].tolist(), [1.0] * len(data["user"]))
    train = Dataset.from_uir(list(triples), seed=0)

    def fit(epochs):
        BPR(k=DIM, max_iter=epochs, num_threads=1, seed=0, verbose=False).fit(train)

    return fit


def main() -> None:
    library = sys.argv[2]
    data = training_data()
    fit = {"implicit": implicit_fit, "cornac": cornac_fit}[library](data)
    fit(1)
    first, spent = since_start(), []
    for epochs in (1, 1 + EPOCHS):  # what is done once for a fit is in both
        start = time.process_time()
        fit(epochs)
        spent.append(time.process_time() - start)
    seconds = (spent[1] - spent[0]) / EPOCHS / len(data["user"])
    report(library, "numpy", seconds=seconds, first_step_seconds=first)


main()
