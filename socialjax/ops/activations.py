"""Activations that models offer by name."""

import flax.linen as nn

ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "sigmoid": nn.sigmoid,
    "tanh": nn.tanh,
}
