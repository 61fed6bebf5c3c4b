"""`python -m socialjax NAME ...` or `socialjax NAME ...` runs a command; without a name, they are listed."""

import importlib
import sys
from pathlib import Path

from socialjax import commands, memory, stop


def run(words: list[str]) -> int:
    """Exit code of the command that the first word names, with the words that follow."""
    if not words or words[0] in ("-h", "--help"):
        print(commands.listing(Path(commands.__path__[0]), commands.NAMES, "python -m socialjax "))
        return 0 if words else 2
    if words[0] not in commands.NAMES:
        print(f"error: no command is called {words[0]!r}; there are {', '.join(commands.NAMES)}", file=sys.stderr)
        return 2
    return importlib.import_module(f"socialjax.commands.{words[0]}").main(words[1:])


def main() -> int:
    """Exit code of the command line of this process."""
    stop.end_at_once()  # imports take seconds, and a command sets its own
    memory.shorten_memory_errors()
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
