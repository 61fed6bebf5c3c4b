"""The models by name: one line each. `MODELS` is what `python -m socialjax train` and saved runs choose from.

Models of other packages are registered there: `socialjax.MODELS["social_bpr"] = SocialBPR`, or by an entry point of the
group `socialjax.models`.
"""

import re

from socialjax.contract import Model
from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.fm import FM
from socialjax.models.cf.gcmc import GCMC
from socialjax.models.cf.lightgcn import LightGCN
from socialjax.models.cf.lr_gccf import LRGCCF
from socialjax.models.cf.pinsage import PinSage
from socialjax.models.cf.reference import Friends, Popular, Random, SameOwner
from socialjax.models.cf.svdpp import SVDpp
from socialjax.models.social.context_mf import ContextMF
from socialjax.models.social.diffnet import DiffNet
from socialjax.models.social.diffnet_pp import DiffNetPP
from socialjax.models.social.hasc import HASC
from socialjax.models.social.regularisation import SocialMF, SoReg
from socialjax.models.social.social_lightgcn import SocialLightGCN
from socialjax.models.social.trust_svd import TrustSVD
from socialjax.models.visual.acf import ACF
from socialjax.models.visual.cdl import CDL
from socialjax.models.visual.deepstyle import DeepStyle
from socialjax.models.visual.jifr import JIFR
from socialjax.models.visual.jrl import JRL
from socialjax.models.visual.saers import SAERS
from socialjax.models.visual.vbpr import VBPR
from socialjax.models.visual.vpoi import VPOI
from socialjax.registry import Registry

LISTED: dict[str, type[Model]] = {  # in the order of the tables
    "bpr": BPR,
    "fm": FM,
    "svdpp": SVDpp,
    "trust_svd": TrustSVD,
    "social_mf": SocialMF,
    "soreg": SoReg,
    "context_mf": ContextMF,
    "gcmc": GCMC,
    "pinsage": PinSage,
    "lightgcn": LightGCN,
    "lr_gccf": LRGCCF,
    "diffnet": DiffNet,
    "diffnet_pp": DiffNetPP,
    "social_lightgcn": SocialLightGCN,
    "hasc": HASC,
    "cdl": CDL,
    "vbpr": VBPR,
    "deepstyle": DeepStyle,
    "jrl": JRL,
    "vpoi": VPOI,
    "acf": ACF,
    "jifr": JIFR,
    "saers": SAERS,
}

MODELS: Registry[type[Model]] = Registry("model", "socialjax.models", LISTED)

REFERENCES: dict[str, Model] = {  # rows of every table
    "random": Random(),
    "popularity": Popular(),
    "friends + popularity": Friends(),
    "same owner": SameOwner(),
}


def name_of(model: Model) -> str:
    """The name a model is registered under. Raises ValueError for a class that is not."""
    for name in (*MODELS.known(), *MODELS):  # others' packages are imported last
        if type(model) is MODELS[name]:
            return name
    raise ValueError(
        f'{type(model).__name__} is not registered; socialjax.MODELS["{own_name(type(model))}"] = '
        f"{type(model).__name__} in your package gives it a name by which runs find it"
    )


def named(name: str) -> Model:
    """The model of that name with the settings of its class. Raises ValueError that lists those that there are."""
    if name not in MODELS:
        raise ValueError(MODELS.unknown(name))
    return MODELS[name]()


def own_name(kind: type[Model]) -> str:
    """The name of a class as models are named: SocialBPR -> social_bpr."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()
