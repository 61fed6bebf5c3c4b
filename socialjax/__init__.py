"""Social and multimedia recommendation in JAX and Flax."""

__version__ = "0.1.0"


def fit(model, data, train=None, **options):
    """Trains `model` on `data`: a recommender, as `load` gives one.

    Args:
        model: such as `socialjax.models.BPR(dim=32)`.
        data: a `socialjax.data.schema.Dataset`, or from where one is read, `socialjax.data.sources.DataSettings`.
        train: how it is trained, `socialjax.train.step.TrainSettings`.
        **options: folder, seed, protocol and progress, as `socialjax.recommender.fit` describes them.

    Returns:
        A `socialjax.recommender.Run`.
    """
    from socialjax.recommender import fit as train_model  # here, so that importing socialjax stays cheap

    return train_model(model, data, train, **options)


def load(folder, seed=None, data_dir=None, features=None):
    """The finished run in `folder`, ready to recommend and to explain: a `socialjax.recommender.Run`.

    `data_dir` and `features` say where its data, and the file of `--data.features`, lie now.
    """
    from socialjax.recommender import load as read

    return read(folder, seed, data_dir, features)
