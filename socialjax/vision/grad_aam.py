"""Grad-AAM, gradient-weighted attribute activation maps: where the evidence for a class of each attribute is.

Grad-CAM (Selvaraju et al., ICCV 2017, Eq. 1-2) with the logit of an attribute's branch as target; the name is that of
the SAERS authors (docs/saers.md).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from socialjax.vision.roi import boxes_of
from socialjax.vision.sen import SEN


class Activation(NamedTuple):
    """Maps of a batch.

    Attributes:
        maps: f32[B, K, h, w], in 0..1 with maximum 1, or 0 everywhere.
        empty: bool[B, K], no evidence for the class: the map is 0.
        label: i32[B, K], the class of each map.
        logits: f32[B, K, C].
    """

    maps: jax.Array
    empty: jax.Array
    label: jax.Array
    logits: jax.Array


class Located(NamedTuple):
    """The output of SEN for a batch of pictures.

    Attributes:
        activation: maps, classes and logits.
        boxes: i32[B, K, 4], in cells of the map.
        fallback: bool[B, K], the map was empty and the box is all of it.
        vectors: f32[B, K, F], features of the regions.
        feature_maps: f32[B, h, w, D].
    """

    activation: Activation
    boxes: jax.Array
    fallback: jax.Array
    vectors: jax.Array
    feature_maps: jax.Array


def grad_aam(classify, branches, num_attributes: int, label=None) -> Activation:
    """Maps of all attributes from one forward and one backward pass.

    The sum of all chosen logits of a batch is differentiated. It must be logits: with probabilities the gradients
    vanish, and the maps with them, as soon as the classifier is confident.

    Args:
        classify: branches f32[B, K, h, w, E] -> logits f32[B, K, C], where logits k depend on branch k alone and no
            picture depends on another.
        branches: f32[B, K or 1, h, w, E].
        num_attributes: K.
        label: i[B, K], the classes whose maps are wanted; the predicted ones by default.

    Returns:
        The maps.
    """
    own = jnp.broadcast_to(branches, (len(branches), num_attributes, *branches.shape[2:]))
    logits, back = jax.vjp(classify, own)
    label = jnp.argmax(logits, axis=-1) if label is None else label
    chosen = jax.nn.one_hot(label, logits.shape[-1], dtype=logits.dtype)
    (gradient,) = back(chosen)
    weight = gradient.mean(axis=(2, 3))  # alpha: of each channel, f32[B, K, E]
    maps = jax.nn.relu(jnp.einsum("bke,bkhwe->bkhw", weight, own))
    peak = maps.max(axis=(2, 3), keepdims=True)
    empty = ~(peak[..., 0, 0] > 0)
    maps = jnp.where(empty[..., None, None], 0, maps / jnp.where(peak > 0, peak, 1))
    return Activation(maps, empty, label.astype(jnp.int32), logits)


def locate(network: SEN, variables, pictures, label=None) -> Located:
    """Classes, maps, boxes and features of all attributes of pictures; boxes have no gradient.

    Args:
        network: the attribute network.
        variables: of the network.
        pictures: as in `SEN.see`.
        label: i[B, K], classes to locate, such as the known ones in training; the predicted class where it is -1, and
            everywhere by default.

    Returns:
        The output of the network.
    """
    maps = network.apply(variables, pictures, method="see")
    branches = network.apply(variables, maps, method="branches")

    def classify(branches):
        return network.apply(variables, branches, method="classify")

    if label is not None:
        likeliest = jnp.argmax(classify(branches), axis=-1)
        label = jnp.where(label >= 0, label, likeliest)
    found = jax.lax.stop_gradient(grad_aam(classify, branches, len(network.classes), label))
    boxes = boxes_of(found.maps, network.threshold)
    vectors = network.apply(variables, maps, boxes.cells, method="regions")
    return Located(found, boxes.cells, boxes.fallback, vectors, maps)
