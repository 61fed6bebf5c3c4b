"""Environments of other libraries, one for each, outside of the repository: pinned versions exclude each other."""

import os
import subprocess
import venv
from pathlib import Path

PINNED = {
    "implicit": ("implicit==0.7.3", "numpy==2.4.6", "scipy==1.17.1"),
    "cornac": ("cornac==3.0.1", "numpy==2.4.6", "scipy==1.17.1"),
    "torch": ("torch==2.13.0", "numpy==2.4.6", "scipy==1.17.1"),
    # What RecBole 1.2.1 was written for; newer NumPy, SciPy and pandas lack functions that it calls.
    "recbole": ("recbole==1.2.1", "torch==2.13.0", "numpy==1.26.4", "scipy==1.11.4", "pandas==2.2.3"),
}
COMPLETE = ".complete"  # written last: the install finished
SECONDS = 1800


class NotInstalled(Exception):
    """A library that does not install here; the message says which and why."""


def python_of(peer: str, folder: Path) -> Path:
    """The interpreter of an environment with this library, which is made where it is missing or has other versions.

    pip's own settings hold, such as PIP_INDEX_URL and PIP_EXTRA_INDEX_URL: an index of torch's builds for CPUs alone
    saves gigabytes.

    Raises:
      NotInstalled: when it cannot be installed.
      ValueError: for a folder that holds something else.
    """
    home, wanted = folder / peer, "\n".join(PINNED[peer])
    python, complete = home / "bin" / "python", home / COMPLETE
    if complete.is_file() and complete.read_text() == wanted:
        return python
    if home.exists() and not (home / "pyvenv.cfg").is_file() and any(home.iterdir()):
        raise ValueError(f"{home} holds something that is no environment; name another folder by --peers-folder")
    home.parent.mkdir(parents=True, exist_ok=True)
    venv.EnvBuilder(clear=home.exists(), with_pip=True).create(home)
    command = [str(python), "-I", "-m", "pip", "install", "-q", "--disable-pip-version-check", *PINNED[peer]]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{' '.join(PINNED[peer])}: pip took more than {SECONDS} s") from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise NotInstalled(f"{' '.join(PINNED[peer])}: {errors[-1] if errors else 'pip failed without a word'}")
    complete.write_text(wanted)
    return python
