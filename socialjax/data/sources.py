"""Where a data set comes from: a named folder, $SOCIALJAX_DATA, the cache, the published address, or the stand-in."""

import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from socialjax.data import cache, download, remote_folder, standin
from socialjax.data.checksum import named
from socialjax.data.own import attribute_files, features, frame_files, ngcf
from socialjax.data.own import folder as own
from socialjax.data.own.options import FolderOptions
from socialjax.data.schema import Dataset, no_interactions
from socialjax.data.sets import PUBLISHED, published
from socialjax.data.sets.published import Published
from socialjax.data.split import concatenate
from socialjax.data.validate import check
from socialjax.formats import file_bytes
from socialjax.formats.file_bytes import DataError, read_bytes
from socialjax.names import BadName, below, identifier
from socialjax.registry import Registry

log = logging.getLogger(__name__)
READ = 3  # how one's own tables are read; another number prepares them again
Place = Literal["--data.dir", "$SOCIALJAX_DATA", "cache", "download"]
# Published sets are split already and have one form.
OWN_ONLY = (
    *("split", "ratios", "k_core", "min_value", "cold_items", "cold_users"),
    *("columns", "separator", "encoding", "repeats"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSettings(FolderOptions):
    """What to load and from where; `--data.*` on the command line. The inherited fields are for your own folder.

    Attributes:
      name: A published set (yelp, flickr, lastfm, filmtrust, yelp_hin, hasc_fs, tiktok) or the name of your own.
      dir: The folder that holds the files; searched before $SOCIALJAX_DATA/<name>, the cache and the download. One
        in an object store (s3://bucket/mine, gs://..., az://...) is copied into the cache.
      features: Item features in place of the set's own: a .npz, .parquet or .csv with a column of ids, or a .npy whose
        row r holds the features of item number r.
      published_features: Take the features that are published beside a set as well (yelp has some); they are downloaded
        where they are not at hand, and missing ones are an error.
      offline: Never download.
      require_real: Fail when the files are not found, instead of running on the generated stand-in.
    """

    name: str = "yelp"
    dir: Path | None = None
    features: Path | None = None
    published_features: bool = False
    offline: Annotated[bool, tyro.conf.arg(aliases=["--offline"])] = False
    require_real: Annotated[bool, tyro.conf.arg(aliases=["--require-real"])] = False

    def __post_init__(self):
        super().__post_init__()
        for name in ("dir", "features"):  # `--data.dir=~/mine` comes as it stands
            if isinstance(path := getattr(self, name), Path) and path.parts[:1] == ("~",):
                object.__setattr__(self, name, path.expanduser())
        try:
            identifier(self.name, "a data set (--data.name)")
        except BadName as error:
            raise DataError(str(error)) from None


@dataclasses.dataclass(frozen=True)
class DataFolder:
    """The folder that has the files, and where it was specified."""

    place: Place
    folder: Path


def load(settings: DataSettings, limits: download.Limits = download.LIMITS) -> Dataset:
    """The data set `settings.name` from the first place that has it; the stand-in when none has.

    Args:
        settings: what to load and from where.
        limits: of downloads.

    Returns:
        The data set.

    Raises:
        DataError: a named folder lacks files, files cannot be used, settings do not apply, the name is unknown, or
            nothing is found and a stand-in is forbidden or does not exist.
    """
    settings = dataclasses.replace(settings, dir=remote_folder.local(settings.dir))
    if settings.name in DATASETS and not DATASETS.is_own(settings.name):
        return _finished(settings, _registered(settings))
    entry = PUBLISHED.get(settings.name)
    if entry is not None:
        _refuse_own_only(settings)
    if settings.published_features:
        download.require(settings.name)
    source, failure = find(settings), "--data.offline forbids the download"
    if source is None and entry is not None and not settings.offline:
        source, failure = _download(entry, limits)
    if source is not None:
        data = _read(settings, source, limits)
    elif entry is None or _forbids_stand_in(settings):
        raise DataError(_instructions(settings, failure))
    else:
        log.warning("%s was not found (%s): using the generated stand-in, not real data", settings.name, failure)
        data = _stand_in(settings)
    return _finished(settings, data)


def _finished(settings: DataSettings, data: Dataset) -> Dataset:
    """The data with the features that were named, and without a validation part where none is wanted."""
    if settings.features is not None:
        data = _with_features(data, settings.features)
    return _without_validation(data) if settings.validation == "none" else data


def _registered(settings: DataSettings) -> Dataset:
    """The data set of another package, under the name that it is registered by, with the checksum of its columns."""
    _refuse_own_only(settings)
    folder, parent = settings.dir, os.environ.get("SOCIALJAX_DATA")
    if folder is None and parent and (Path(parent) / settings.name).is_dir():
        folder = Path(parent) / settings.name
    data = DATASETS[settings.name](folder)
    if not isinstance(data, Dataset):
        raise DataError(
            f"the function registered as data set '{settings.name}' gave {type(data).__name__}; wanted a "
            "socialjax.Dataset, such as Dataset.from_pairs makes"
        )
    check(data)
    return named(dataclasses.replace(data, name=settings.name))


def _published(name: str, folder: Path | None) -> Dataset:
    return load(DataSettings(name=name, dir=folder))


DATASETS: Registry[Callable[[Path | None], Dataset]] = Registry(  # of the folder that was named, None without
    "data set", "socialjax.datasets", {name: functools.partial(_published, name) for name in PUBLISHED}
)


def load_dataset(name: str, **options) -> Dataset:
    """The data set of that name, as `--data.name` finds it.

    Args:
        name: a published set, or a folder below $SOCIALJAX_DATA.
        **options: fields of `DataSettings`, such as `dir`, `split`, `k_core`, `offline` or `require_real`.

    Raises:
        DataError: as of `load`, and for unknown options.
    """
    return load(own.options_of(DataSettings, options, name=name))


def from_folder(folder: Path, name: str | None, options: Mapping[str, Any]) -> Dataset:
    """The data set of the tables in a folder, as `folder_settings` finds them."""
    return load(folder_settings(folder, name, options))


def folder_settings(folder: Path, name: str | None, options: Mapping[str, Any]) -> DataSettings:
    """Settings for the tables in a folder; without a name that of the folder, or of the only table of pairs."""
    if name is None:
        stems = {path.name.partition(".")[0] for path in folder.glob("*.*") if own.may_hold_pairs(path)}
        name = folder.name if folder.name in stems or len(stems) != 1 else stems.pop()
    return own.options_of(DataSettings, options, name=name, dir=folder)


def _with_features(data: Dataset, path: Path) -> Dataset:
    if not path.is_file():
        raise DataError(
            f"--data.features names {path}, which is not a file; give features with ids (.npz, .parquet, .csv) or a "
            f".npy table of {data.num_items} rows"
        )
    return features.join(data, "item_features", path)


def find(settings: DataSettings) -> DataFolder | None:
    """The first place that has the files, without downloading. Raises DataError when a named folder lacks some."""
    if (folder := remote_folder.local(settings.dir)) is not None:
        _must_be_complete(settings.name, folder, "--data.dir")
        return DataFolder("--data.dir", folder)
    if parent := os.environ.get("SOCIALJAX_DATA"):
        if not Path(parent).is_dir():
            raise DataError(f"SOCIALJAX_DATA names {parent}, which is not a folder; correct or unset it")
        folder = Path(parent) / settings.name
        if folder.is_dir():
            _must_be_complete(settings.name, folder, "$SOCIALJAX_DATA")
            return DataFolder("$SOCIALJAX_DATA", folder)
    folder = raw_folder(settings.name)
    if settings.name in PUBLISHED and not PUBLISHED[settings.name].missing(folder):
        return DataFolder("cache", folder)
    return None


def raw_folder(name: str) -> Path:
    """Where downloaded files are kept. Raises BadName for what is no name of a data set."""
    return below(cache.cache_folder() / "raw", identifier(name, "a data set"))


def raw_files(name: str, folder: Path) -> list[Path]:
    """The files in `folder` that the set `name` is read from, in the order of their names."""
    if name in PUBLISHED:
        return sorted(file_bytes.require(folder, [file.name for file in PUBLISHED[name].files]))
    if lists := ngcf.paths(folder, name):
        return sorted(lists.values())
    tables = (f"{stem}." for stem in features.BY_ID)
    starts = (f"{name}.", *tables, *features.FEATURE_FILES, features.SOCIAL_FILE)
    return [file for file in sorted(folder.iterdir()) if file.name.startswith(starts) and file.is_file()]


def _read(settings: DataSettings, source: DataFolder, limits: download.Limits) -> Dataset:
    """Reads again, once, when files change while they are read. Raises ChangedError."""
    try:
        return _read_once(settings, source, limits)
    except cache.ChangedError:
        log.info("%s: files of %s have changed meanwhile and are read again", settings.name, source.folder)
        return _read_once(settings, source, limits)


def _read_once(settings: DataSettings, source: DataFolder, limits: download.Limits) -> Dataset:
    if settings.name in PUBLISHED:
        return _read_published(settings, PUBLISHED[settings.name], source, limits)
    return _read_own(settings, source)


def _read_published(settings: DataSettings, entry: Published, source: DataFolder, limits: download.Limits) -> Dataset:
    name, folder, vectors = entry.name, source.folder, []
    if settings.published_features:
        vectors = download.find(entry, folder, raw_folder(name), settings.offline, limits)
    else:
        download.log_unused(entry, folder)
    files = [read_bytes(path) for path in [*raw_files(name, folder), *vectors]]
    sums = {file.path.name: file.sha256 for file in files}
    as_published = published.compare(entry, files)
    del files
    key = cache.prepared_key(name, files=sums, seed=settings.seed, published_features=settings.published_features)
    data = cache.prepared(name, key, lambda: features.with_features(entry.read(folder, settings.seed), vectors), sums)
    log.info("%s: files of %s (%s)", name, folder, source.place)
    if vectors:
        log.info("%s: published features %s", name, " and ".join(map(str, vectors)))
    return dataclasses.replace(data, provenance=dataclasses.replace(data.provenance, published=as_published))


def _read_own(settings: DataSettings, source: DataFolder) -> Dataset:
    name, folder = settings.name, source.folder
    options = FolderOptions(**{f.name: getattr(settings, f.name) for f in dataclasses.fields(FolderOptions)})
    if frame_files.is_here(folder):  # mapped from where it lies, so there is no prepared form
        _refuse_own_only(settings, but=("min_value",))
        log.info("%s: files of %s (%s)", name, folder, source.place)
        return frame_files.read(folder, name, settings.min_value)
    if attribute_files.is_here(folder):
        _refuse_own_only(settings)
        log.info("%s: files of %s (%s)", name, folder, source.place)
        return attribute_files.read(folder, name)
    sums = cache.file_checksums(raw_files(name, folder))
    beside = [(file.name, file.stat().st_size) for file in sorted(folder.iterdir()) if file.is_file()]
    depends = {"files": sums, "options": dataclasses.asdict(options), "read": READ, "beside": beside}
    data = cache.prepared(name, cache.prepared_key(name, **depends), lambda: own.read(folder, name, options), sums)
    log.info("%s: files of %s (%s)", name, folder, source.place)
    # Equal files may lie elsewhere the next time, so the place is no part of what is kept.
    return dataclasses.replace(data, provenance=dataclasses.replace(data.provenance, source=str(folder), published=""))


def _download(entry: Published, limits: download.Limits) -> tuple[DataFolder | None, str]:
    folder = raw_folder(entry.name)
    try:
        download.fetch(entry, folder, limits)
    except download.DownloadError as error:
        return None, str(error)
    return DataFolder("download", folder), ""


def _stand_in(settings: DataSettings) -> Dataset:
    key = cache.prepared_key(settings.name, standin=standin.VERSION, seed=settings.seed)
    return cache.prepared(f"{settings.name}-stand-in", key, lambda: standin.make(settings.name, settings.seed))


def _forbids_stand_in(settings: DataSettings) -> bool:
    return settings.require_real or settings.published_features or settings.name not in standin.SHAPES


def _must_be_complete(name: str, folder: Path, named_by: str) -> None:
    if not folder.is_dir():
        raise DataError(
            f"{named_by} names {folder}, which is not a folder{_looked_for(folder)}; correct it or leave it out"
        )
    if lacks := ngcf.missing(folder, name):
        raise DataError(f"{folder} ({named_by}) lacks {' and '.join(lacks)}. {ngcf.instructions(name)}")
    # The files of one's own folder have several forms: its reader knows which are missing.
    if name in PUBLISHED and (missing := PUBLISHED[name].missing(folder)):
        wanted = ", ".join(file.name for file in PUBLISHED[name].files)
        raise DataError(
            f"{folder} ({named_by}) lacks {', '.join(missing)} of {name}, which needs {wanted}; "
            f"get them from {PUBLISHED[name].addresses[0]}, do not name the folder, or, if these are your own files, "
            "give them another name than a published set has"
        )


def _looked_for(folder: Path) -> str:
    """Where a relative folder was looked for."""
    return "" if folder.is_absolute() else f" in {Path.cwd()}"


def _refuse_own_only(settings: DataSettings, but: tuple[str, ...] = ()) -> None:
    asked = [name for name in OWN_ONLY if name not in but]
    changed = [name for name in asked if getattr(settings, name) != getattr(FolderOptions(), name)]
    if changed:
        flags = ", ".join(f"--data.{name.replace('_', '-')}" for name in changed)
        raise DataError(
            f"{flags} cannot be applied to {settings.name}, which comes with its split; "
            "leave it out, or give your folder another --data.name"
        )


def _instructions(settings: DataSettings, failure: str) -> str:
    """What to put where, for a set that was not found."""
    name = settings.name
    if name in ngcf.PUBLISHED:
        return f"the files of {name} were not found. {ngcf.instructions(name)}"
    if name not in PUBLISHED:
        return (
            f"{name!r} is none of the published sets ({', '.join(DATASETS)}) and no folder of yours was found; "
            f"give --data.dir DIR, or put the files into $SOCIALJAX_DATA/{name}: {name}.train.rating and "
            f"{name}.test.rating, or train.txt and test.txt with a line of items for each user (docs/data.md)"
        )
    entry = PUBLISHED[name]
    if name not in standin.SHAPES:
        without = "there is no stand-in of it"
    elif settings.require_real:
        without = "--data.require-real forbids the stand-in"
    else:
        without = f"its stand-in has no features, which {download.OPTION} wants"
    return (
        f"the files of {name} were not found and {without}. "
        f"Download: {failure}. Put {', '.join(file.name for file in entry.files)} "
        f"from {entry.addresses[0]} into a folder and give --data.dir FOLDER, "
        f"or into DIR/{name} with the environment variable SOCIALJAX_DATA=DIR, or into {raw_folder(name)}"
    )


def _without_validation(data: Dataset) -> Dataset:
    """Moves the validation part into train, and states it in the provenance."""
    if not len(data.validation):
        return data
    note = f"{len(data.validation)} validation pairs moved into train (--data.validation none)"
    return dataclasses.replace(
        data,
        train=concatenate([data.train, data.validation]),
        validation=no_interactions(),
        provenance=dataclasses.replace(data.provenance, repairs=(*data.provenance.repairs, note)),
    )
