"""Social and multimedia recommendation in JAX and Flax."""

__version__ = "0.1.0"


def load(folder, seed=None, data_dir=None):
    """The finished run in `folder`, ready to recommend and to explain: a `socialjax.recommender.Run`."""
    from socialjax.recommender import load as read  # here, so that importing socialjax stays cheap

    return read(folder, seed, data_dir)
