"""The models once more, from their equations alone: loops over users, friends and items in NumPy's float64."""

import numpy as np


def taken_by(data) -> list[list[int]]:
    """R_a: the distinct training items of each user."""
    taken = [set() for _ in range(data.num_users)]
    for user, item in zip(data.train.user.tolist(), data.train.item.tolist()):
        taken[user].add(item)
    return [sorted(items) for items in taken]


def friends_of(data, symmetric: bool) -> list[list[int]]:
    """S_a: who each user hears."""
    friends = [set() for _ in range(data.num_users)]
    for follower, followee in zip(data.links.follower.tolist(), data.links.followee.tolist()):
        friends[follower].add(followee)
        if symmetric:
            friends[followee].add(follower)
    return [sorted(others) for others in friends]


def taken_matrix(data) -> np.ndarray:
    """R f64[U, I]: 1 for a training pair."""
    taken = np.zeros((data.num_users, data.num_items))
    taken[data.train.user, data.train.item] = 1
    return taken


def joint_graph(data, loops: bool = False) -> np.ndarray:
    """D^-1/2 A D^-1/2 f64[U + I, U + I] over users and items, each linked with itself if `loops`; isolated: 0."""
    taken = taken_matrix(data)
    adjacency = np.block([[np.zeros((data.num_users,) * 2), taken], [taken.T, np.zeros((data.num_items,) * 2)]])
    adjacency += loops * np.eye(len(adjacency))
    scale = np.array([d**-0.5 if d else 0.0 for d in adjacency.sum(axis=1)])
    return scale[:, None] * adjacency * scale[None, :]


def layers_of(graph, depth, params, kept=None) -> list[np.ndarray]:
    """E^0..E^K f64[U + I, D], E^{k+1} = graph E^k; kept[k] f64[U + I]: what each node's word counts in step k."""
    layers = [np.concatenate([params["users"], params["items"]]).astype(np.float64)]
    for k in range(depth):
        layers.append(graph @ (layers[-1] if kept is None else layers[-1] * kept[k][:, None]))
    return layers


class Twin:
    """users and items f64[., D] and bias f64[I] of a trained model; `history` [I, D] is pooled into a user's vector.

    penalty: what each row of a batch has beside its objective and the l2 of its own embeddings.
    """

    penalty = 0.0

    def __init__(self, model, data, own, items, bias, history=None, exponent=1.0):
        self.model, self.taken = model, taken_by(data)
        self.own, self.items, self.bias, self.history, self.exponent = own, items, bias, history, exponent

    def user(self, a, without=None):
        """u_a, with one item left out of the history."""
        if self.history is None:
            return self.own[a]
        kept = [i for i in self.taken[a] if i != without]
        if not kept:
            return self.own[a]
        return self.own[a] + sum(self.history[i] for i in kept) / len(kept) ** self.exponent

    def score(self, a, i, without=None, mask=1.0):
        return (self.user(a, without) * mask) @ self.items[i] + self.bias[i]

    def left_out(self, target):
        """The item of the history that a training row leaves out."""
        return target if getattr(self.model, "exclude_target", False) else None

    def loss(self, batch, user_norms, item_norms, masks=None):
        """The batch's sum of objective and l2, and its weight, one row at a time."""
        of, total, objective_total = self.model, 0.0, 0.0
        for b, (a, i, weight) in enumerate(zip(batch.users, batch.items, batch.weight)):
            without = self.left_out(i)
            mask = 1.0 if masks is None else masks[b]
            up = self.score(a, i, without, mask)
            down = np.array([self.score(a, j, without, mask) for j in batch.negatives[b]])
            loss = objective(of.objective, up, down, of.temperature)
            norms = user_norms[a] + item_norms[i] + np.mean([item_norms[j] for j in batch.negatives[b]])
            total += weight * (loss + of.l2 * norms + self.penalty)
            objective_total += weight * loss
        return total, sum(batch.weight), objective_total


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def objective(name, up, down, temperature):
    return {
        "bpr": lambda: np.mean([-np.log(sigmoid(up - d)) for d in down]),
        "softmax": lambda: -np.log(np.exp(up / temperature) / np.exp(np.array([up, *down]) / temperature).sum()),
        "bce": lambda: -np.mean([np.log(sigmoid(up)), *(np.log(1 - sigmoid(d)) for d in down)]),
        "squared": lambda: 0.5 * ((1 - sigmoid(up)) ** 2 + sum(sigmoid(d) ** 2 for d in down)),
    }[name]()


def wide(tree):
    """Parameters in float64."""
    return {name: wide(part) if isinstance(part, dict) else np.asarray(part, np.float64) for name, part in tree.items()}


def squared(table):
    return (table**2).sum(axis=1)


def bpr(model, data, params):
    """-> (twin, squared norms of users, of items)."""
    params = wide(params)
    bias = params.get("item_bias", np.zeros(data.num_items))
    twin = Twin(model, data, params["users"], params["items"], bias)
    return twin, squared(params["users"]), squared(params["items"]) + bias**2


def svdpp(model, data, params):
    params = wide(params)
    users, items = params["tables"]["users"], params["tables"]["items"]
    bias = params["tables"].get("item_bias", np.zeros(data.num_items))
    history = items if model.tied else params["implicit"]
    norms = squared(items) + bias**2 + (0 if model.tied else squared(history))
    return Twin(model, data, users, items, bias, history, model.exponent), squared(users), norms


def standardised(values, scale):
    """scale * (z - mean) / sqrt(population variance) over all entries."""
    values = np.asarray(values, np.float64)
    return scale * (values - values.mean()) / np.sqrt(values.var())


def diffnet(model, data, params):
    params = wide(params)
    p, q = params["tables"]["users"], params["tables"]["items"]
    bias = params["tables"].get("item_bias", np.zeros(data.num_items))
    x, y = (data.user_features, data.item_features) if model.use_features else (None, None)
    act = {"identity": lambda z: z, "relu": lambda z: np.maximum(z, 0), "sigmoid": sigmoid, "tanh": np.tanh}[
        model.activation
    ]
    dense = lambda name, z: z @ params[name]["kernel"] + params[name]["bias"]  # noqa: E731
    scaled = lambda z: standardised(z, model.feature_scale)  # noqa: E731
    x, y = (None if f is None else scaled(f) for f in (x, y))
    h, v = p, q
    if model.variant == "paper":
        if x is not None:
            h = act(dense("fuse_users", np.concatenate([x, p], axis=1)))
        if y is not None:
            v = act(dense("fuse_items", np.concatenate([q, y], axis=1)))
    else:
        fused = lambda z: scaled(sigmoid(dense("shared", z)))  # noqa: E731
        h = p if x is None else p + fused(x)
        v = q if y is None else q + fused(y)
    layers = [h]
    for k in range(model.depth):
        heard = np.zeros_like(h)
        for a, friends in enumerate(friends_of(data, model.symmetric)):
            if friends:
                of_friends = np.array([layers[-1][b] for b in friends])
                heard[a] = of_friends.mean(axis=0) if model.pooling == "mean" else of_friends.max(axis=0)
        if model.variant == "paper":
            heard = act(dense(f"diffusion_{k}", np.concatenate([heard, layers[-1]], axis=1)))
        layers.append(heard)
    if model.depth == 0:
        own = layers[0]
    else:
        own = {"last": layers[-1], "all_but_0": sum(layers[1:]), "all": sum(layers)}[model.layers]
    twin = Twin(model, data, own, v, bias, v)
    for name, layer in params.items():
        if name != "tables":
            twin.penalty += (model.layer_l2 if "diffusion" in name else model.feature_l2) * (layer["kernel"] ** 2).sum()
    return twin, squared(p), squared(q) + bias**2
