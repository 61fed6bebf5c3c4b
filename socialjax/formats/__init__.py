"""File formats: bytes, text tables, arrays, pickles and tensors, each read within limits and never run."""
