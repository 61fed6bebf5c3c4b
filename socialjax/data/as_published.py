"""Whether the files of a published set are as published: compared with the registry at every load."""

import logging

from socialjax.data.formats.file_bytes import FileBytes
from socialjax.data.sets.published import Published

log = logging.getLogger(__name__)
AS_PUBLISHED, ALTERED = "as published", "altered: "


def compare(entry: Published, files: list[FileBytes]) -> str:
    """Compares files with those that were published; line ends and gzip do not count.

    Args:
        entry: the published set.
        files: its files as read.

    Returns:
        `as published`, or `altered: FILE, FILE`, with a warning.
    """
    known = {file.name: file for file in entry.files + entry.optional}
    altered = []
    for file in files:
        remote = known[file.path.name.removesuffix(".gz")]
        if not remote.is_content_of(file):
            altered.append(file.path.name)
            log.warning(
                "WARNING: %s is not the file that was published as %s of %s (checksum %s, published %s): what follows "
                "is not about the published set. Get it from %s, or give a set of your own another --data.name",
                *(file.path, remote.name, entry.name, remote.id_of(file.data), remote.wanted, entry.addresses[0]),
            )
    return ALTERED + ", ".join(altered) if altered else AS_PUBLISHED


def note(published: str) -> str:
    """The suffix of titles and tables for `Provenance.published`: `, ALTERED: FILE, FILE`, else nothing."""
    return f", ALTERED: {published.removeprefix(ALTERED)}" if published.startswith(ALTERED) else ""
