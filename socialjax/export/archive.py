"""A whole run as one file, and back."""

import re
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path

from socialjax.atomic_write import atomic_write
from socialjax.data import records
from socialjax.data.schema import Dataset
from socialjax.formats.file_bytes import ALWAYS_FINE, RATIO
from socialjax.names import below, visible

CARRIED = "carried"  # folder of a packed run that holds its data
STORED = re.compile(r"(settings|result)\.json|(seed_\d+|carried)/.*|data-[0-9a-f]+/.*")  # paths in a packed run
MOST_FILES = 100_000


def pack(folder: Path, data: Dataset, path: Path) -> None:
    """Writes the run in `folder` and its data into one `.zip`, whole or not at all. Raises ValueError for another
    ending."""
    if path.suffix != ".zip":
        raise ValueError(f"{path} must end in .zip, by which `socialjax.load` knows it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as private, atomic_write(path) as temporary:
        files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*"))}
        if not any(folder.glob("data-*/")):  # the columns of data that were no files lie in the run
            records.write(Path(private), data)
            records.seal(Path(private))
            files |= {f"{CARRIED}/{file.name}": file for file in sorted(Path(private).iterdir())}
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, file in files.items():
                if file.is_file() and STORED.fullmatch(name):
                    archive.write(file, name)


def unpack(path: Path, folder: Path) -> None:
    """Unpacks what `pack` wrote into a folder that is there and empty.

    Raises:
        ValueError: the file is damaged, or holds other paths, links, or more than its size allows (`RATIO`).
    """
    most = max(ALWAYS_FINE, RATIO * path.stat().st_size)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > MOST_FILES:
                raise ValueError(f"{path} holds {len(members)} files, more than a run has")
            for member in members:
                kind = stat.S_IFMT(member.external_attr >> 16)
                if not STORED.fullmatch(member.filename) or kind not in (0, stat.S_IFREG):
                    raise ValueError(f"{path} holds {visible(member.filename)}, which is no file of a run")
                target = below(folder, *member.filename.split("/"))
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("xb") as file:
                    while block := source.read(1 << 20):
                        most -= len(block)
                        if most < 0:
                            raise ValueError(f"{path} unpacks to more than its size allows; it is damaged or a bomb")
                        file.write(block)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, FileExistsError) as error:
        raise ValueError(f"{path} is no run that was saved, or is damaged ({visible(error)}); save it again") from None
