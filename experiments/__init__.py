"""What we ran, one file a claim; `python -m experiments` lists the files."""

import sys

if sys.argv[:1] == ["-m"]:  # `python -m experiments.NAME`: its imports take seconds, and what follows sets its own
    from socialjax import memory, stop

    stop.end_at_once()
    memory.shorten_memory_errors()
