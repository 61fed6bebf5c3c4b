"""The one error of input files."""


class DataError(ValueError):
    """A file that cannot be used. The message names file and line, what was wanted, what came and what to do."""
