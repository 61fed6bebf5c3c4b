"""The builders: one for each published set, one for own folders. Files are read by `data/sets` and `data/own`."""

from pathlib import Path

from socialjax.data.builders.columns import ColumnsBuilder
from socialjax.data.own import folder
from socialjax.data.schema import Dataset
from socialjax.data.sets.registry import PUBLISHED


class Yelp(ColumnsBuilder, skip_registration=True):
    """DiffNet's Yelp."""

    @staticmethod
    def read_files(raw_dir: Path, seed: int = 0) -> Dataset:
        return PUBLISHED["yelp"].read(raw_dir, seed)


class Flickr(ColumnsBuilder, skip_registration=True):
    """DiffNet's Flickr."""

    @staticmethod
    def read_files(raw_dir: Path, seed: int = 0) -> Dataset:
        return PUBLISHED["flickr"].read(raw_dir, seed)


class Lastfm(ColumnsBuilder, skip_registration=True):
    """Last.fm of HetRec 2011."""

    @staticmethod
    def read_files(raw_dir: Path, seed: int = 0) -> Dataset:
        return PUBLISHED["lastfm"].read(raw_dir, seed)


class Filmtrust(ColumnsBuilder, skip_registration=True):
    """FilmTrust."""

    @staticmethod
    def read_files(raw_dir: Path, seed: int = 0) -> Dataset:
        return PUBLISHED["filmtrust"].read(raw_dir, seed)


class YelpHin(ColumnsBuilder, skip_registration=True):
    """Yelp with categories, cities and friends."""

    @staticmethod
    def read_files(raw_dir: Path, seed: int = 0) -> Dataset:
        return PUBLISHED["yelp_hin"].read(raw_dir, seed)


class HascFs(ColumnsBuilder, skip_registration=True):
    """HASC's small set of Flickr."""

    @staticmethod
    def read_files(raw_dir: Path, seed: int = 0) -> Dataset:
        return PUBLISHED["hasc_fs"].read(raw_dir, seed)


class Tiktok(ColumnsBuilder, skip_registration=True):
    """Short videos with visual and acoustic features."""

    @staticmethod
    def read_files(raw_dir: Path, seed: int = 0) -> Dataset:
        return PUBLISHED["tiktok"].read(raw_dir, seed)


class Folder(ColumnsBuilder, skip_registration=True):
    """Anyone's own folder, and generated sets."""

    @staticmethod
    def read_files(raw_dir: Path, name: str, options: folder.FolderOptions | None = None) -> Dataset:
        return folder.read(raw_dir, name, options)


BUILDERS: dict[str, type[ColumnsBuilder]] = {
    "yelp": Yelp,
    "flickr": Flickr,
    "lastfm": Lastfm,
    "filmtrust": Filmtrust,
    "yelp_hin": YelpHin,
    "hasc_fs": HascFs,
    "tiktok": Tiktok,
}
