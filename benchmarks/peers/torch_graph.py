"""Steps of LightGCN or DiffNet in torch, by the equations of ours: CPU seconds. Arguments: data.npz, model, csr or coo.

Batches of 2,048 pairs with one negative, D = 64, Adam, BPR loss and L2 on the rows of a batch. `coo` differentiates
torch.sparse.mm, as libraries do; `csr` is a product whose gradient is a product with the stored transpose.
"""

import sys

import numpy as np
import scipy.sparse as sp
import torch
from measure import Pairs, report, timed_steps, training_data

DIM, BATCH, L2, RATE = 64, 2048, 0.02, 5e-3
STEPS = {"lightgcn": (3, 5, 8), "diffnet": (3, 5, 16)}  # warm, calls, steps of a call


class Product(torch.autograd.Function):
    """matrix @ x, whose gradient is transpose @ g."""

    @staticmethod
    def forward(context, matrix, transpose, x):
        context.transpose = transpose
        return matrix @ x

    @staticmethod
    def backward(context, gradient):
        return None, None, context.transpose @ gradient


def product(matrix: sp.csr_matrix, kind: str):
    """x -> matrix @ x."""
    if kind == "coo":
        entries = matrix.tocoo()
        where = torch.tensor(np.stack([entries.row, entries.col]), dtype=torch.int64)
        stored = torch.sparse_coo_tensor(where, torch.tensor(entries.data), matrix.shape).coalesce()
        return lambda x: torch.sparse.mm(stored, x)
    forward, backward = (_csr(each) for each in (matrix, matrix.T.tocsr()))
    return lambda x: Product.apply(forward, backward, x)


def _csr(matrix: sp.csr_matrix):
    parts = (torch.tensor(part, dtype=torch.int64) for part in (matrix.indptr, matrix.indices))
    return torch.sparse_csr_tensor(*parts, torch.tensor(matrix.data), matrix.shape)


def scaled(rows, columns, shape, left: float, right: float) -> sp.csr_matrix:
    """Ones at (rows, columns), times degrees of the row to the power `left` and of the column to the power `right`."""
    ones = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    of_rows, of_columns = (np.maximum(np.asarray(ones.sum(axis=axis)).ravel(), 1) for axis in (1, 0))
    return (sp.diags(of_rows**left) @ ones @ sp.diags(of_columns**right)).tocsr().astype(np.float32)


def lightgcn(data: dict, kind: str):
    """(users, items) -> the mean of layers 0 to 3, He et al., SIGIR 2020, Eq. 3 and 4."""
    num_users, size = int(data["num_users"]), int(data["num_users"] + data["num_items"])
    ends = data["user"], data["item"] + num_users
    both = [np.concatenate(pair) for pair in (ends, ends[::-1])]
    smooth = product(scaled(*both, (size, size), -0.5, -0.5), kind)

    def encode(users, items):
        layers = [torch.cat([users, items])]
        for _ in range(3):
            layers.append(smooth(layers[-1]))
        mean = sum(layers) / len(layers)
        return mean[:num_users], mean[num_users:]

    return encode


def diffnet(data: dict, kind: str):
    """(users, items) -> h_1 + h_2 + the mean of the items taken, and the items (Wu et al., SIGIR 2019, released)."""
    num_users, num_items = int(data["num_users"]), int(data["num_items"])
    friends = product(scaled(data["friend_of"], data["friend"], (num_users, num_users), -1.0, 0.0), kind)
    history = product(scaled(data["user"], data["item"], (num_users, num_items), -1.0, 0.0), kind)

    def encode(users, items):
        once = friends(users)
        return once + friends(once) + history(items), items

    return encode


def main() -> None:
    name, kind = sys.argv[2:]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = training_data()
    encode = {"lightgcn": lightgcn, "diffnet": diffnet}[name](data, kind)
    pairs = Pairs(data["user"], data["item"], int(data["num_items"]), BATCH)
    sizes = (int(data["num_users"]), DIM), (int(data["num_items"]), DIM)
    users, items = (torch.nn.Parameter(0.01 * torch.randn(*size)) for size in sizes)
    bias = torch.nn.Parameter(torch.zeros(sizes[1][0]))
    adam = torch.optim.Adam([users, items, bias], lr=RATE)

    def step() -> float:
        user, item, negative = (torch.from_numpy(ids) for ids in pairs.next())
        of_users, of_items = encode(users, items)
        own = of_users[user]
        positive = (own * of_items[item]).sum(1) + bias[item]
        other = (own * of_items[negative]).sum(1) + bias[negative]
        norms = users[user].square().sum(1)
        for ids in (item, negative):
            norms = norms + items[ids].square().sum(1) + bias[ids].square()
        loss = torch.nn.functional.softplus(other - positive).mean() + L2 * norms.mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        return float(loss.detach())

    report("torch", "numpy", **timed_steps(step, *STEPS[name]))


main()
