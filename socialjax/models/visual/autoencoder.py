"""An autoencoder of two layers each way, whose code and reconstruction may be any numbers."""

import flax.linen as nn
import jax

from socialjax.ops.activations import ACTIVATIONS


class Autoencoder(nn.Module):
    """Layers [width, hidden, dim, hidden, width]; the hidden ones are activated, code and reconstruction are linear."""

    width: int
    hidden: int
    dim: int
    activation: str

    def setup(self):
        dense = lambda size: nn.Dense(size, kernel_init=nn.initializers.xavier_uniform())  # noqa: E731
        self.into_hidden, self.into_code = dense(self.hidden), dense(self.dim)
        self.out_hidden, self.out_image = dense(self.hidden), dense(self.width)

    def encode(self, images: jax.Array) -> jax.Array:
        """f32[..., width] -> f32[..., dim]."""
        return self.into_code(ACTIVATIONS[self.activation](self.into_hidden(images)))

    def __call__(self, images: jax.Array) -> jax.Array:
        """Encoded and decoded again: f32[..., width]."""
        return self.out_image(ACTIVATIONS[self.activation](self.out_hidden(self.encode(images))))
