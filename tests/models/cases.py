"""Settings of every model that tests of all models run through."""

from socialjax.models import MODELS
from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.fm import FM
from socialjax.models.cf.gcmc import GCMC
from socialjax.models.cf.lightgcn import LightGCN
from socialjax.models.cf.lr_gccf import LRGCCF
from socialjax.models.cf.pinsage import PinSage
from socialjax.models.cf.svdpp import SVDpp
from socialjax.models.social.diffnet import DiffNet
from socialjax.models.social.diffnet_pp import DiffNetPP
from socialjax.models.social.hasc import HASC
from socialjax.models.social.social_lightgcn import SocialLightGCN
from socialjax.models.visual.acf import ACF
from socialjax.models.visual.cdl import CDL
from socialjax.models.visual.jifr import JIFR
from socialjax.models.visual.saers import SAERS
from socialjax.models.visual.vbpr import VBPR

# Every listed model as it comes, and settings that take other paths through the same code.
CASES = {name: kind() for name, kind in MODELS.items()} | {
    "bpr, softmax and dropout": BPR(dim=8, objective="softmax", negatives=4, dropout=0.3),
    "svdpp, tied mean, target kept": SVDpp(dim=8, tied=True, exponent=1.0, exclude_target=False, objective="bce"),
    "fm, ids only": FM(dim=8, use_features=False),
    "lightgcn, published, nodes dropped": LightGCN(dim=8, item_bias=False, start="xavier", node_dropout=0.2),
    "lr_gccf, paper": LRGCCF(dim=8, depth=2, l2_on="free"),
    "gcmc, left": GCMC(
        dim=8, norm="left", activation="identity", decoder="dot", objective="softmax", negatives=4, node_dropout=0.3
    ),
    "pinsage, all": PinSage(dim=8, neighbours="all", depth=1, objective="bce", dropout=0.2),
    "diffnet, best on validation": DiffNet(
        dim=8, layers="all", objective="softmax", negatives=8, l2=0.05, dropout=0.3, exclude_target=True
    ),
    "dnpp, paper, directed": DiffNetPP(dim=8, variant="paper", symmetric=False, activation="relu"),
    # Without the noise, which takes the signs of a vector and so has no derivative where one of them is 0.
    "social_lightgcn, contrast": SocialLightGCN(
        dim=8, contrast=0.2, contrast_noise=0.0, node_dropout=0.2, contrast_negatives=5
    ),
    "vbpr, balanced, cold by features": VBPR(
        dim=8, visual_dim=3, cold="features", user_balance=0.5, feature_l2=0.01, objective="softmax", dropout=0.2
    ),
    "cdl, pointwise, cold by features": CDL(
        dim=8, fit="pointwise", unseen=0.1, hidden=6, activation="tanh", cold="features", lambda_n=1.0
    ),
    "acf, capped, target kept": ACF(dim=8, history_cap=2, exclude_target=False, item_bias=False, objective="bce"),
    # Without a mean over all heads each aspect has its own; the maximum of each number hears one element alone.
    "hasc, max below, heads, content": HASC(
        dim=8, bottom="max", per_aspect_head=True, normalise_aspects=True, content_map=True, activation="elu"
    ),
    "hasc, mean, own past": HASC(
        dim=8, bottom="avg", top="avg", owner_history=True, objective="softmax", negatives=4, dropout=0.2
    ),
    "jifr, mean, few frames": JIFR(dim=8, visual_dim=3, pool="mean", k_max=2, frame_bias=True, dropout=0.2),
    "jifr, mlp, gate, residual": JIFR(
        dim=8, visual_dim=3, attn="mlp", fusion="gate", item_visual_residual=True, objective="softmax", negatives=4
    ),
    "saers, dot, own maps, free items": SAERS(
        dim=8, attention="dot", projection="own", free_items=True, cold="learned", dropout=0.2
    ),
    "saers, user, classes, semantic alone": SAERS(
        dim=8, attention="user", regions=False, space="semantic", item_bias=False, objective="softmax", negatives=4
    ),
    "diffnet, paper": DiffNet(dim=8, variant="paper", layers="last", activation="tanh"),
    "diffnet, max, directed": DiffNet(dim=8, pooling="max", symmetric=False, use_features=False, objective="squared"),
}
