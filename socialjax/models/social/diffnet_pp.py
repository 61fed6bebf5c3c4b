"""DiffNet++: influence and interest diffuse together, with attention (Wu, Li, Sun, Hong, Ge, Wang, TKDE 2020,
arXiv 2002.00844).

Three sets of edges speak in each layer: friends to users, items to the users who took them, users to those items.

| | `paper` | `released`, the authors' code |
|---|---|---|
| start u^0, v^0 | one layer over [free, feature] | free + standardised feature, as in DiffNet |
| attention of an edge | MLP of both ends, one for each set | a free number z_e for each edge and layer, squeezed |
| friends against items | softmax of an MLP, one for all layers | exp(leaky(MLP)) + 0.3 or 0.7, by layer |
| user update | u + both | half u, half both |
| item update | v + users | convex combination of v and users, + 1.0 each |
| vectors | [u^0 .. u^K] | [u^1 .. u^K, free (, standardised feature)] |
| loss | BPR | squared error, 8 negatives, no L2, no item bias |
| dense layers start from | LeCun's normal distribution | Glorot's uniform one, TensorFlow's default |

The loss is no part of the variant: `objective="squared", negatives=8, l2=0.0, item_bias=False` make it the authors'.
"""

import dataclasses
from typing import ClassVar, Literal

import numpy as np

from socialjax.models.bipartite import bipartite
from socialjax.models.parts import FactorModel
from socialjax.models.protocol import Batch, Traits
from socialjax.models.social import diffnet_pp_explain
from socialjax.models.social.diffnet_pp_layers import DiffNetPPLayers, DiffNetPPSide, DiffNetPPState
from socialjax.models.social.features import FEATURE_LAYERS, check_scale_and_penalties, features_for
from socialjax.models.social.links import friends
from socialjax.models.weight_penalty import weight_penalty
from socialjax.ranges import Choice, LogUniform


@dataclasses.dataclass(frozen=True)
class DiffNetPP(FactorModel):
    """s = <[u^0 .. u^K], [v^0 .. v^K]> (+ b_i), or the `released` form of it: see the table above.

    variant: `paper` or `released`, see above. depth: K; 0 leaves the start, without features matrix factorisation.
    attention_dim: hidden width of the MLPs, `paper` only, as is activation, of the MLPs and the start. symmetric: links
    count in both directions. use_features: take features where the data has them. feature_scale: deviation to which all
    numbers of a feature table are brought, and in `released` those that are added too. feature_l2: lambda on the
    squared norm of the weights of the feature layers, shared or fusion. layer_l2: the same of all other layers: the
    MLPs of `paper`, the dense layers of `released`; the numbers of the edges, z_e, are not among them.

    A training item is in the user's own neighbourhood, in training as in evaluation, as the authors have it.
    """

    traits: ClassVar[Traits] = Traits(needs=("links",), uses=("user_features", "item_features"))
    search_space: ClassVar = {"depth": Choice((1, 2, 3)), "layer_l2": LogUniform(1e-6, 1e-2)}

    depth: int = 2
    variant: Literal["paper", "released"] = "released"
    attention_dim: int = 8
    activation: Literal["identity", "relu", "sigmoid", "tanh"] = "tanh"
    symmetric: bool = True
    use_features: bool = True
    feature_scale: float = 0.1
    feature_l2: float = 0.0
    layer_l2: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        check_scale_and_penalties(self)
        if not self.attention_dim >= 1:
            raise ValueError(f"attention_dim must be at least 1, got {self.attention_dim}")

    def prepare(self, columns) -> DiffNetPPSide:
        self.check(columns)
        features = features_for(self, columns)
        return DiffNetPPSide(friends(columns, self.symmetric), bipartite(columns, "mean"), *features)

    def _layers(self, side: DiffNetPPSide) -> DiffNetPPLayers:
        return DiffNetPPLayers(self, side.graph.num_users, side.graph.num_items)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def encode(self, params, side) -> DiffNetPPState:
        return self._layers(side).apply({"params": params}, side)

    def squared_norms(self, params):
        """The free embeddings and the item bias."""
        return self.table_norms(params["tables"])

    def penalty(self, params, side, state, batch: Batch, rng):
        """feature_l2 and layer_l2 times the squared norms of their layers' weights: f32[B], or None for none."""
        layers = [name for name in params if name not in ("tables", *FEATURE_LAYERS)]
        strengths = dict.fromkeys(FEATURE_LAYERS, self.feature_l2) | dict.fromkeys(layers, self.layer_l2)
        return weight_penalty(params, strengths, batch)

    def explain(self, state: DiffNetPPState, side: DiffNetPPSide, users, items):
        return diffnet_pp_explain.explain(self, state, side, users, items)

    def new_user(self, state: DiffNetPPState, side: DiffNetPPSide, items: np.ndarray, friends: np.ndarray):
        return diffnet_pp_explain.new_user(self, state, side, items, friends)
