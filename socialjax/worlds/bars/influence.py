"""Models on two synthetic worlds: a checkerboard of taste, and users who are known only by what their friends take."""

import dataclasses

import numpy as np

from socialjax.contract import Model
from socialjax.eval import protocol, ranking
from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.fm import FM
from socialjax.models.cf.gcmc import GCMC
from socialjax.models.cf.lightgcn import LightGCN
from socialjax.models.cf.lr_gccf import LRGCCF
from socialjax.models.cf.pinsage import PinSage
from socialjax.models.cf.svdpp import SVDpp
from socialjax.models.social.context_mf import ContextMF
from socialjax.models.social.diffnet import DiffNet
from socialjax.models.social.diffnet_pp import DiffNetPP
from socialjax.models.social.regularisation import SocialMF, SoReg
from socialjax.models.social.social_lightgcn import SocialLightGCN
from socialjax.models.social.trust_svd import TrustSVD
from socialjax.train.step import TrainSettings
from socialjax.worlds import planted
from socialjax.worlds.bars import Bar, train_only

FULL = protocol.parse("full", ks=(10,))
TRAINING = TrainSettings(
    epochs=150,
    batch_size=1024,
    learning_rate=1e-2,
    evaluate_every=5,
    patience=40,
    plateau=0,
    save_seconds=1e9,
)
SHARED = {"dim": 32, "objective": "softmax", "negatives": 8, "l2": 0.02, "dropout": 0.2}
MODELS: dict[str, Model] = {
    "bpr": BPR(**SHARED),
    "fm": FM(**SHARED),
    "svdpp": SVDpp(**SHARED),
    "trust_svd": TrustSVD(**SHARED),
    "social_mf": SocialMF(**SHARED),
    "soreg": SoReg(**SHARED),
    "context_mf": ContextMF(**SHARED),
    "gcmc": GCMC(**SHARED | {"l2": 0.001}),
    "pinsage": PinSage(**SHARED | {"l2": 0.001}),
    "lightgcn": LightGCN(**SHARED),
    "lr_gccf": LRGCCF(**SHARED),
    "diffnet": DiffNet(**SHARED, layers="all", exclude_target=True),
    # With links in both directions depth 1 reaches two hops already: relays aggregate the speakers, who aggregate them.
    "diffnet_pp": DiffNetPP(**SHARED, symmetric=False),
    "social_lightgcn": SocialLightGCN(**SHARED),
}
GAIN, NO_GAIN = 1.3, 1.05  # over the base on silent users, with links and with links rewired at random
BASE = {"trust_svd": "svdpp"}  # what the model is without its links; BPR unless listed
DIRECT_FRIENDS_ONLY = ("context_mf",)  # its score counts what friends took, and in the two-hop world they take nothing


def silent_ndcg(model: Model, world: planted.World, seed: int) -> float:
    """Test NDCG@10, full ranking, over the users with almost no history of their own."""
    state = train_only(model, world.data, TRAINING, seed, "full").state
    lists = protocol.candidates(world.data, FULL, "test", users=np.flatnonzero(world.silent))
    return ranking.evaluate_state(model, state, lists).mean()["NDCG@10"]


def checkerboard(name: str, model: Model, seeds: list[int]) -> list[Bar]:
    """Every held-out even item above every odd one for even users, and the other way round."""
    values = []
    for seed in seeds:
        data = planted.checkerboard(seed=seed, links=4)
        state = train_only(model, data, TRAINING, seed, "full").state
        lists = protocol.candidates(data, dataclasses.replace(FULL, mask=("train", "validation")), "test")
        values.append(ranking.evaluate_state(model, state, lists).mean()["NDCG@10"])
    return [Bar(name, "checkerboard, NDCG@10 (worst seed)", 0.999, min(values))]


def influence(name: str, model: Model, seeds: list[int]) -> list[Bar]:
    """Silent users: friends must help, and only true friends.

    The bar for rewired links lies close to 1, so that it is measured on twice as many worlds.
    """
    base = MODELS[BASE.get(name, "bpr")]

    def gain(over: Model, seeds: list[int], **world) -> float:
        worlds = [planted.influence(seed=seed, **world) for seed in seeds]
        own, base_ndcg = ([silent_ndcg(m, world, s) for world, s in zip(worlds, seeds)] for m in (model, over))
        return float(np.mean(own) / np.mean(base_ndcg))

    more, over = [*seeds, *(seed + max(seeds) + 1 for seed in seeds)], BASE.get(name, "bpr")
    bars = [
        Bar(name, "influence, silent users, NDCG@10 over bpr", GAIN, gain(MODELS["bpr"], seeds)),
        Bar(name, f"influence, links rewired, over {over}", NO_GAIN, gain(base, more, rewired=True), at_most=True),
    ]
    if name in DIRECT_FRIENDS_ONLY:
        return bars
    rewired = gain(base, more, two_hop=True, rewired=True)
    bars += [
        Bar(name, "two-hop, silent users, over bpr", GAIN, gain(MODELS["bpr"], seeds, two_hop=True)),
        Bar(name, f"two-hop, links rewired, over {over}", NO_GAIN, rewired, at_most=True),
    ]
    if "depth" in {field.name for field in dataclasses.fields(model)}:
        deep, shallow = (
            [
                silent_ndcg(dataclasses.replace(model, depth=k), planted.influence(seed=s, two_hop=True), s)
                for s in seeds
            ]
            for k in (2, 1)
        )
        bars.append(Bar(name, "two-hop, depth 2 over depth 1", 1.0, float(np.mean(deep) / np.mean(shallow))))
    return bars


def bars(seeds: list[int], name: str) -> list[Bar]:
    """The worlds of a model: the checkerboard, and the influence world for one that cannot do without links."""
    model = MODELS[name]
    return checkerboard(name, model, seeds) + (influence(name, model, seeds) if "links" in model.traits.needs else [])
