"""`python -m socialjax NAME ...` or `socialjax NAME ...` runs a command; without a name, they are listed."""

import importlib
import sys
from pathlib import Path

from socialjax import commands, memory, registry, stop
from socialjax.names import visible


def run(words: list[str]) -> int:
    """Exit code of the command that the first word names, with the words that follow.

    `--import PACKAGE`, anywhere among them, registers what others made.
    """
    try:
        words = _imported(words)
    except ValueError as error:
        print(f"error: {visible(error)}", file=sys.stderr)
        return 1
    if not words or words[0] in ("-h", "--help"):
        print(commands.listing(Path(commands.__path__[0]), commands.NAMES, "python -m socialjax "))
        return 0 if words else 2
    if words[0] not in commands.NAMES:
        print(f"error: no command is called {words[0]!r}; there are {', '.join(commands.NAMES)}", file=sys.stderr)
        return 2
    return importlib.import_module(f"socialjax.commands.{words[0]}").main(words[1:])


def _imported(words: list[str]) -> list[str]:
    """The words without `--import NAME`, whose modules are imported. Raises ValueError."""
    kept, names = [], []
    rest = iter(words)
    for word in rest:
        if word == "--import" or word.startswith("--import="):
            name = word.partition("=")[2] if "=" in word else next(rest, "")
            if not name:
                raise ValueError("--import wants the name of a package, such as --import my_package")
            names.append(name)
        else:
            kept.append(word)
    registry.import_modules(names)
    return kept


def main() -> int:
    """Exit code of the command line of this process."""
    stop.end_at_once()  # imports take seconds, and a command sets its own
    memory.shorten_memory_errors()
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
