"""The builders: one for each published set, one for own folders. Files are read by `data/sets` and `data/own`."""

from pathlib import Path

from socialjax.data.builders.columns import ColumnsBuilder
from socialjax.data.own import folder
from socialjax.data.schema import Dataset
from socialjax.data.sets.published import Published
from socialjax.data.sets.registry import PUBLISHED


def _builder(of: Published) -> type[ColumnsBuilder]:
    class Builder(ColumnsBuilder, skip_registration=True):
        name = of.name

        @staticmethod
        def read_files(raw_dir: Path, seed: int = 0) -> Dataset:
            return PUBLISHED[of.name].read(raw_dir, seed)

    Builder.__doc__ = of.about
    return Builder


class Folder(ColumnsBuilder, skip_registration=True):
    """Anyone's own folder, and generated sets."""

    @staticmethod
    def read_files(raw_dir: Path, name: str, options: folder.FolderOptions | None = None) -> Dataset:
        return folder.read(raw_dir, name, options)


BUILDERS: dict[str, type[ColumnsBuilder]] = {name: _builder(each) for name, each in PUBLISHED.items()}
