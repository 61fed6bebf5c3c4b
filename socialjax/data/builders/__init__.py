"""The TFDS builder of prepared data sets."""
