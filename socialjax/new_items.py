"""Items that were not there in training, scored by their features alone.

What was learned of single items is absent for a new one: in every model its free embedding and its bias are 0, to which
regularisation pulls an item without data, and nobody has taken it. So its score is what the features say; among new
items the order is by that alone, and beside items that were trained it lacks their popularity. Features are brought to
the scale of the training's items, whose moments do not change.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.contract import Model, Params
from socialjax.data.schema import Dataset
from socialjax.models.cf.fm import FM, within
from socialjax.models.cf.gcmc import GCMC
from socialjax.models.social.diffnet import DiffNet
from socialjax.models.social.diffnet_pp import DiffNetPP
from socialjax.models.social.diffnet_pp_layers import Gate, first_layer
from socialjax.models.visual.cdl import CDL, Autoencoder
from socialjax.models.visual.deepstyle import DeepStyle
from socialjax.models.visual.item_features import item_images, mean_length
from socialjax.models.visual.jrl import JRL
from socialjax.models.visual.vbpr import VBPR
from socialjax.ops.activations import ACTIVATIONS


@dataclasses.dataclass(frozen=True)
class RankedUser:
    """A user as one types them, and how a new item suits them.

    Attributes:
        user: id in the file, else the number.
        score: of the item.
        standing: by how many standard deviations the score is above the mean of the user's scores of all items that
            there are. Scores are trained to order one user's items; only this compares users.
    """

    user: int | str
    score: float
    standing: float


@dataclasses.dataclass(frozen=True)
class NewItems:
    """New items as a model sees them.

    Attributes:
        features: f32[M, F], as in the data.
        groups: U[M], product groups, "" where unknown.
        model: The trained model.
        params: Its parameters.
        data: What it was trained on.
    """

    features: np.ndarray
    groups: np.ndarray
    model: Model
    params: Params
    data: Dataset

    def dense(self, name: str, values) -> jax.Array:
        """A dense layer of the model applied to values f32[M, .]."""
        layer = self.params[name]
        out = jnp.asarray(values) @ layer["kernel"]
        return out + layer["bias"][None, :] if "bias" in layer else out

    def images(self, columns: int = 0) -> np.ndarray:
        """The first columns of the features, of mean length 1 in training; 0 takes all."""
        trained = item_images(self.data)
        width = columns or trained.shape[1]
        return (self.features[:, :width].astype(np.float64) / mean_length(trained[:, :width])).astype(np.float32)

    def zeros(self, width: int | None = None) -> np.ndarray:
        """f32[M, width], or f32[M]: free embeddings and biases."""
        return np.zeros(len(self.features) if width is None else (len(self.features), width), np.float32)


def embed(
    model: Model, params: Params, data: Dataset, features: np.ndarray, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What a dot-product model makes of new items.

    Args:
        model: The trained model.
        params: Its parameters.
        data: What it was trained on.
        features: [M, F], as wide as those of the data's items.
        groups: [M], product groups, for a model that reads them; "" where unknown.

    Returns:
        Vectors f32[M, D] and biases f32[M], for the product with the trained users' vectors.

    Raises:
        NotImplementedError: the model's score of an item does not depend on its features.
        ValueError: it was trained without features, or these have another width or numbers that are not finite.
    """
    name = type(model).__name__
    made = MADE.get(type(model))
    if made is None:
        why = UNREAD.get(name, "reads no features of items")
        raise NotImplementedError(
            f"{name} {why}, so it cannot score an item that was not there in training; take one of "
            f"{', '.join(kind.__name__ for kind in MADE)} and train it with features"
        )
    trained = item_images(data) if type(model) in IMAGES else data.item_features
    if trained is None or not getattr(model, "use_features", True):
        raise ValueError(
            f"{name} was trained on '{data.name}' without features of items, so it cannot score new ones; "
            "train it with features (--data.features FILE)"
        )
    features = np.asarray(features, np.float32)
    if features.ndim != 2 or features.shape[1] != trained.shape[1]:
        raise ValueError(
            f"features must be [items, {trained.shape[1]}], as wide as those of '{data.name}', got "
            f"{list(features.shape)}; make them as those were made"
        )
    if not np.isfinite(features).all():
        raise ValueError("features must be finite numbers, got some that are not; leave these items out")
    groups = np.full(len(features), "") if groups is None else np.asarray(groups, np.str_)
    if groups.shape != (len(features),):
        raise ValueError(f"wanted a group for each of {len(features)} items, got {groups.shape}")
    vectors, bias = made(NewItems(features, groups, model, params, data))
    return np.asarray(vectors, np.float32), np.asarray(bias, np.float32)


def stand(users: np.ndarray, items: np.ndarray, bias: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """By how many standard deviations scores f32[U] of a new item are above the mean of each user's scores.

    users f32[U, D], items f32[I, D] and bias f32[I] are those of the trained model -> f64[U]; the moments over all
    items come from their covariance, without a table of all scores. A user who scores all items alike stands at 0.
    """
    asks = np.concatenate([users, np.ones((len(users), 1))], axis=1).astype(np.float64)
    rows = np.concatenate([items, bias[:, None]], axis=1).astype(np.float64)
    centre = rows.mean(axis=0)
    spread = np.sqrt(np.maximum(np.einsum("ud,de,ue->u", asks, np.cov(rows.T, bias=True), asks, optimize=True), 0))
    return np.where(spread > 1e-9, (scores - asks @ centre) / np.maximum(spread, 1e-9), 0.0)


def _vbpr(new: NewItems):
    """E^T f_i and <beta', f_i>; gamma_i = beta_i = 0 (He and McAuley, AAAI 2016, Section 4)."""
    images, params = new.images(new.model.columns), new.params
    bias = images @ params["visual_bias"] if new.model.visual_bias else new.zeros()
    return np.concatenate([new.zeros(new.model.dim), images @ params["projection"]], axis=1), bias


def _deepstyle(new: NewItems):
    """E^T f_i - c_cat(i); v_i = 0. A group that training did not have is unknown: nothing is subtracted."""
    names = np.unique(new.data.item_groups[new.data.item_groups != ""])
    looks = new.images() @ new.params["projection"]
    if len(names):
        place = np.minimum(np.searchsorted(names, new.groups), len(names) - 1)
        looks = looks - np.asarray(new.params["categories"])[place] * (names[place] == new.groups)[:, None]
    return looks, new.zeros()


def _jrl(new: NewItems):
    """ELU(E^T g_i); q_i = 0."""
    seen = jax.nn.elu(new.images() @ new.params["projection"])
    return np.concatenate([new.zeros(new.model.dim), seen], axis=1), new.zeros()


def _cdl(new: NewItems):
    """v_i = enc(f_i), as the paper has it for items outside the matrix; without an image 0."""
    images = np.asarray(item_images(new.data), np.float32)
    there = images[images.any(axis=1)]
    low, high = there.min(axis=0), there.max(axis=0)
    span = np.where(high > low, high - low, 1.0).astype(np.float32)
    model = new.model
    code = Autoencoder(images.shape[1], model.hidden, model.dim, model.activation).apply(
        {"params": new.params["autoencoder"]}, jnp.asarray((new.features - low) / span), method="encode"
    )
    return code * new.features.any(axis=1)[:, None], new.zeros()


def _fm(new: NewItems):
    """y_i V_y, <w, y_i> and the pairs of features within y_i; q_i = b_i = 0."""
    trained = np.asarray(new.data.item_features, np.float64)
    spread = np.where(trained.max(axis=0) > trained.min(axis=0), trained.std(axis=0), np.inf)
    features = (new.model.feature_scale * (new.features - trained.mean(axis=0)) / spread).astype(np.float32)
    bias = within(jnp.asarray(features), new.params["item_weights"])
    if new.model.item_bias:
        bias = bias + features @ new.params["item_linear"]
    return features @ new.params["item_weights"], bias


def _gcmc(new: NewItems):
    """W_f act(W_x y_i + c); nobody took the item, so its h_i is 0."""
    hidden = ACTIVATIONS[new.model.activation](new.dense("item_features", new.features))
    return new.dense("item_mix", hidden), new.zeros()


def _moments(values, scale: float):
    """The function by which `models.social.shared.standardise` scales these values, for others."""
    values = jnp.asarray(values)
    mean = jnp.mean(values)
    factor = scale * jax.lax.rsqrt(jnp.maximum(jnp.mean((values - mean) ** 2), 1e-12))
    return lambda others: (jnp.asarray(others) - mean) * factor


def _fused(new: NewItems):
    """What DiffNet and DiffNet++ start from with q_i = 0: f32[M, D], and in the released form the features' share."""
    scale = _moments(new.data.item_features, new.model.feature_scale)
    features = scale(new.features)
    if new.model.variant == "paper":
        both = jnp.concatenate([new.zeros(new.model.dim), features], axis=1)
        return ACTIVATIONS[new.model.activation](new.dense("fuse_items", both))
    trained = jax.nn.sigmoid(new.dense("shared", scale(new.data.item_features)))
    return _moments(trained, new.model.feature_scale)(jax.nn.sigmoid(new.dense("shared", features)))


def _diffnet(new: NewItems):
    """The fused vector; the bias is the model's `cold_bias` where it has one."""
    return _fused(new), new.zeros() + (new.model.cold_bias or 0.0)


def _diffnet_pp(new: NewItems):
    """The layers of an item that nobody took: messages are 0."""
    model, own = new.model, _fused(new)
    layers, nothing = [own], jnp.zeros_like(own)
    for k in range(model.depth):
        if model.variant == "released":
            gates = (("items", layers[-1]), ("takers", nothing))
            kept, added = (Gate().apply({"params": new.params[f"gate_{name}_{k}"]}, v) + 1.0 for name, v in gates)
            layers.append((kept / (kept + added))[:, None] * layers[-1])
        else:
            layers.append(layers[-1])
    blocks = []
    if model.variant == "released" and model.depth:
        blocks = [nothing] + ([own] if new.data.user_features is not None else [])
    return jnp.concatenate([*layers[first_layer(model) :], *blocks], axis=1), new.zeros()


MADE: dict[type[Model], Callable] = {
    VBPR: _vbpr,
    DeepStyle: _deepstyle,
    JRL: _jrl,
    CDL: _cdl,
    FM: _fm,
    GCMC: _gcmc,
    DiffNet: _diffnet,
    DiffNetPP: _diffnet_pp,
}
IMAGES = (VBPR, CDL)  # whose items without features have the mean of their frames
UNREAD = {
    "ACF": "reads features for its attention over a history alone, never for the score of an item",
    "VPOI": "reads images in its loss alone, never for the score of an item",
    "HASC": "scores an item by a vector of its own and by its owner, which features do not give",
    "JIFR": "scores an item by all of its frames, not by a row of features",
    "SAERS": "scores an item by attributes located on its picture, not by a row of features",
}
