"""Prints or writes the golden figures.

    python -m tests.golden             # JSON on the screen
    python -m tests.golden --write     # into tests/golden/figures.json: only when figures are meant to change

Bits are those of one kind of processor and of the tested versions; the file says which. Real runs are left out where
SOCIALJAX_DATA names no folder, and keep what the file says of them.
"""

import json
import os
import sys

# Before JAX starts: one device, and sums that do not depend on the number of cores.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false --xla_cpu_use_fusion_emitters=false"
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # compiling takes nearly all of the time

from tests.golden import figures


def main(arguments: list[str]) -> int:
    """Exit code."""
    if arguments not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    made = figures.make()
    if arguments:
        before = figures.read() if figures.FILE.is_file() else {"real": {}}
        made["real"] = before["real"] | made["real"]
        figures.FILE.write_text(json.dumps(made, indent=1) + "\n")
    else:
        print(json.dumps(made, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
