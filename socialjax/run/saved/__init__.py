"""A finished run, read back: recommend, score, similar items, explain, new users."""

from socialjax.run.saved.run import Ranked, Run, load

__all__ = ["Ranked", "Run", "load"]
