"""What we ran, one file a claim; `python -m experiments` lists the files."""

import sys

if sys.argv[:1] == ["-m"]:  # `python -m experiments.NAME`: its imports take seconds, and what follows sets its own
    from socialjax import stop
    from socialjax.train import shortage

    stop.end_at_once()
    shortage.shorten_memory_errors()
