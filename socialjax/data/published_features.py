"""Features that are published with a set: used with `--data.published-features` only."""

import logging
from pathlib import Path

from socialjax.data import download
from socialjax.data.formats import file_bytes
from socialjax.data.own.additions import FEATURE_FILES
from socialjax.data.schema import DataError
from socialjax.data.sets import PUBLISHED
from socialjax.data.sets.published import Published

log = logging.getLogger(__name__)
OPTION = "--data.published-features"


def require(name: str) -> Published:
    """The published set `name`. Raises DataError when no features are published with it."""
    entry = PUBLISHED.get(name)
    if entry is not None and entry.optional:
        return entry
    sets = ", ".join(other.name for other in PUBLISHED.values() if other.optional)
    if entry is None:
        raise DataError(
            f"{OPTION} is about published sets ({sets}), and {name} is none of them; user_vector.npy and "
            "item_vector.npy of your own folder are read without it, so leave it out"
        )
    raise DataError(
        f"{OPTION}: no features are published beside those files of {name} that are read in any case, only beside "
        f"{sets}; leave it out, or give item features of your own with --data.features FILE.npy"
    )


def find(entry: Published, folder: Path, cached: Path, offline: bool, limits: download.Limits) -> list[Path]:
    """The files of the features, plain or .gz.

    Args:
        entry: the published set.
        folder: searched first.
        cached: searched next; downloads go there.
        offline: forbids downloads.
        limits: of downloads.

    Returns:
        The paths.

    Raises:
        DataError: they are neither there nor can be downloaded.
    """
    paths = {
        file.name: file_bytes.find(folder, file.name) or file_bytes.find(cached, file.name) for file in entry.optional
    }
    lacking = tuple(file for file in entry.optional if paths[file.name] is None)
    if lacking:
        failure = "--data.offline forbids the download"
        if not offline:
            try:
                download.fetch(entry, cached, limits, lacking)
                return find(entry, folder, cached, True, limits)
            except download.DownloadError as error:
                failure = str(error)
        raise DataError(
            f"{OPTION} wants {names(entry)} of {entry.name}, and {' and '.join(file.name for file in lacking)} "
            f"cannot be had ({failure}). Published at {entry.optional_at}: put them into {folder}, or leave the option "
            "out and train on ids only"
        )
    return list(paths.values())


def log_unused(entry: Published, folder: Path) -> None:
    """Logs which features in `folder` are not used, and the option that uses them."""
    there = [path.name for name in FEATURE_FILES if (path := file_bytes.find(folder, name)) is not None]
    takes = f"{OPTION} takes them" if entry.optional else "--data.features FILE.npy takes a table of items"
    if there:
        log.info("%s: %s in %s not used; %s", entry.name, " and ".join(there), folder, takes)


def names(entry: Published) -> str:
    return " and ".join(file.name for file in entry.optional)
