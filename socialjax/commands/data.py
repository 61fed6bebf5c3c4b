"""Data sets at hand: what there is, whether it is the published one, what it looks like, and how to get it.

    python -m socialjax data list
    python -m socialjax data fetch yelp
    python -m socialjax data check yelp flickr      exits 1 when a file or figure differs or the test part leaks
    python -m socialjax data describe yelp --out yelp.png
    python -m socialjax data describe mine --data.dir ~/mine --data.min-value 4 --data.split time

CPU, seconds. `check` and `describe` take every `--data.*` and show what training with it would see. Files are searched
in --data.dir, $SOCIALJAX_DATA/<name>, and the cache.
"""

import dataclasses
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from socialjax.data import cache, download, leaks, sources, validate
from socialjax.data.facts import facts
from socialjax.data.own.joined import read_negatives
from socialjax.data.schema import Dataset, counts
from socialjax.data.sets import PUBLISHED, published
from socialjax.data.sources import DataSettings
from socialjax.drawing import blank, save
from socialjax.eval import protocol
from socialjax.formats import file_bytes
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible

Name = Annotated[str, tyro.conf.Positional]
Features = Annotated[bool, tyro.conf.arg(name="data.published-features")]
Names = Annotated[tuple[str, ...], tyro.conf.Positional]
BAR = 40
LISTS = 2000  # users whose evaluation lists are drawn and looked through


def list_sets() -> int:
    """The published sets: sizes, where their files are, licence."""
    rows = [("set", "users", "items", "pairs", "links", "files", "licence")]
    for name, entry in PUBLISHED.items():
        size = entry.counts
        pairs = sum(size[part] for part in ("train", "validation", "test"))
        numbers = (f"{number:,}" for number in (size["users"], size["items"], pairs, size["links"]))
        rows.append((name, *numbers, _where(name), entry.licence))
    print(_table(rows, right=(1, 2, 3, 4)))
    print(f"\nSOCIALJAX_DATA  {os.environ.get('SOCIALJAX_DATA') or 'not set'}\ncache           {cache.cache_folder()}")
    return 0


def fetch(name: Name, features: Features = False) -> int:
    """Downloads a published set into the cache; exits 1 when what is there is altered.

    Args:
        name: one of the published sets.
        features: the features that are published beside it, too.
    """
    if name not in PUBLISHED:
        raise DataError(f"{name!r} is none of the published sets: {', '.join(PUBLISHED)}")
    entry, folder = PUBLISHED[name], sources.raw_folder(name)
    also = download.require(name).optional if features else ()
    download.fetch(entry, folder, files=entry.files + also)
    files = [
        file_bytes.read_bytes(path)
        for path in file_bytes.require(folder, [file.name for file in (*entry.files, *also)])
    ]
    as_published = published.compare(entry, files)
    for file in files:
        print(f"{file.path.name:<22} {file.path.stat().st_size:>12,} bytes")
    print(f"{name} is in {folder}, {as_published}")
    absent = [file.name for file in entry.optional if not (folder / file.name).is_file()]
    if absent:
        print(f"without its features, {' and '.join(absent)}; {download.OPTION} takes them")
    return 1 if published.note(as_published) else 0


PLAIN = DataSettings()


def check(names: Names, data: DataSettings = PLAIN, split: leaks.Split = "auto") -> int:
    """Compares files and every known figure with the published ones and looks for leaks; exits 1 for a difference or a
    leak.

    Args:
        names: published sets, or one of your own with --data.dir.
        data: how they are read and split.
        split: what the order of times has to be; auto: what most of the pairs keep to.
    """
    if not names:
        raise DataError(f"check needs a name: {', '.join(PUBLISHED)}, or your own with --data.dir")
    return 0 if all([_check_one(_named(data, name), split) for name in names]) else 1


def _named(settings: DataSettings, name: str) -> DataSettings:
    """The settings for the set that stands before the options."""
    if settings.name not in (PLAIN.name, name):
        raise DataError(f"wanted one name for each set, got {name} and --data.name {settings.name}; leave one out")
    return dataclasses.replace(settings, name=name)


def _check_one(settings: DataSettings, split: leaks.Split) -> bool:
    name, settings = settings.name, dataclasses.replace(settings, require_real=True)
    try:
        data = sources.load(settings)
        findings = leaks.find(data, split) + _negatives(data, settings)
    except validate.OverlapError as error:
        print(f"{name}: {visible(error)}")
        _print_leaks(name, leaks.find(error.data, split))
        return False
    except DataError as error:
        print(f"{name}: {visible(error)}\n")
        return False
    wanted = PUBLISHED[name].facts if name in PUBLISHED else {}
    got = facts(data)
    rows = [
        (key, _formatted(wanted.get(key, "")), _formatted(got.get(key)), _verdict(key, wanted, got))
        for key in wanted or got
    ]
    differ = sum(row[-1] == "differs" for row in rows)
    print(_title(data))
    print(_table([("", "wanted", "got", ""), *rows], right=(1, 2)))
    for note in (*data.provenance.repairs, *validate.check(data).notes):
        print(f"note: {visible(note)}")
    print(f"{name}: {len(wanted)} figures known, {differ} differ")
    if data.provenance.published:
        print(f"{name}: files {data.provenance.published}")
    _print_leaks(name, findings)
    return differ == 0 and not findings and not published.note(data.provenance.published)


def _print_leaks(name: str, findings: list[leaks.Finding]) -> None:
    for finding in findings:
        print(visible(finding))
    print(f"{name}: {len(findings) or 'no'} leak{'' if len(findings) == 1 else 's'} found\n")


def _negatives(data: Dataset, settings: DataSettings) -> list[leaks.Finding]:
    """Findings in the lists that an evaluation draws and in the file of negatives, if the folder has one."""
    findings = []
    located = sources.find(settings)
    given = read_negatives(located.folder, data) if located else None
    if given is not None:
        findings.append(leaks.negatives(data, *given))
    users = np.unique(data.test.user)[:LISTS]
    taken = np.bincount(np.concatenate([part.user for part in data.parts().values()]), minlength=data.num_users)
    number = min(1000, data.num_items - int(taken[users].max(initial=0)))
    if len(users) and number > 0:
        candidates = protocol.candidates(data, protocol.parse(f"sampled{number}-strict", ks=(1,)), users=users)
        drawn = np.repeat(candidates.users, number), candidates.negatives.ravel()
        findings.append(leaks.negatives(data, *drawn, f"the lists of {candidates.protocol.name}"))
    return [finding for finding in findings if finding is not None]


def describe(name: Name, data: DataSettings = PLAIN, out: Path | None = None) -> int:
    """What training would see of a set: counts, degrees, times, origin, and what was repaired, dropped and joined; of
    its stand-in when the files are not found.

    Args:
        name: a published set, or your own with --data.dir.
        data: how it is read and split.
        out: write a picture of degrees and times there (PNG).
    """
    data = sources.load(_named(data, name))
    print(_title(data))
    density = sum(map(len, data.parts().values())) / (data.num_users * data.num_items)
    print(_table([(key, f"{value:,}") for key, value in counts(data).items()], right=(1,)))
    print(f"density {density:.2e}")
    for what, count in _degrees(data).items():
        print(f"\n{what}: median {np.median(count):g}, mean {count.mean():.1f}, max {count.max():,}")
        print(_histogram(count))
    times = _times(data)
    if times:
        day = lambda moment: str(np.datetime64(int(moment), "s"))[:10]  # noqa: E731
        ranges = [(part, day(time.min()), "to", day(time.max())) for part, time in times.items()]
        print(f"\ntimes (UTC)\n{_table(ranges)}")
    origin = data.provenance
    published = f" ({visible(origin.published)})" if origin.published else ""
    print(f"\nsource   {visible(origin.source)}{published}\nlicence  {visible(origin.licence)}")
    for file, checksum in origin.files.items():
        print(f"file     {visible(file)}  sha256 {checksum}")
    for repair in origin.repairs:
        print(f"repair   {visible(repair)}")
    for note in validate.notes(data):
        print(f"note     {visible(note)}")
    if out is not None:
        _plot(data, out)
        print(f"plot     {out}")
    return 0


def _where(name: str) -> str:
    try:
        located = sources.find(DataSettings(name=name))
    except DataError as error:
        return f"incomplete: {error}"
    return f"{located.place}: {located.folder}" if located else f"not found (fetch {name})"


def _title(data: Dataset) -> str:
    kind = "real data" if data.provenance.kind == "real" else f"{data.provenance.kind}: generated, not real data"
    tables = ("user_features", "item_features", "social_features")
    features = [name for name in tables if getattr(data, name) is not None]
    kind += published.note(data.provenance.published)
    return f"{data.name} ({kind}; {' and '.join(features) or 'ids only, no features'})"


def _degrees(data: Dataset) -> dict[str, np.ndarray]:
    degrees = {
        "train items per user": np.bincount(data.train.user, minlength=data.num_users),
        "train users per item": np.bincount(data.train.item, minlength=data.num_items),
    }
    if data.links is not None:
        degrees["followees per user"] = np.bincount(data.links.follower, minlength=data.num_users)
        degrees["followers per user"] = np.bincount(data.links.followee, minlength=data.num_users)
    if data.owners is not None:
        degrees["uploads per user"] = np.bincount(data.owners[data.owners >= 0], minlength=data.num_users)
    return degrees


def _times(data: Dataset) -> dict[str, np.ndarray]:
    """Part -> times of its pairs, of those that have some."""
    parts = {part: pairs.time for part, pairs in data.parts().items() if len(pairs)}
    return {part: time for part, time in parts.items() if time is not None}


def _bins(count: np.ndarray) -> list[tuple[int, int]]:
    """[0, 0], [1, 1], [2, 3], [4, 7], ... up to the largest."""
    return [(0, 0)] + [(1 << k, (2 << k) - 1) for k in range(int(count.max()).bit_length())]


def _histogram(count: np.ndarray) -> str:
    numbers = {(low, high): int(((count >= low) & (count <= high)).sum()) for low, high in _bins(count)}
    most = max(*numbers.values(), 1)
    label = lambda low, high: f"{low}" if low == high else f"{low}-{high}"  # noqa: E731
    return _table(
        [(label(*ends), f"{number:,}", "#" * round(BAR * number / most)) for ends, number in numbers.items()],
        right=(0, 1),
    )


def _table(rows: list[tuple[str, ...]], right: tuple[int, ...] = ()) -> str:
    """Columns aligned, those in `right` to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    aligned = lambda k, text: text.rjust(widths[k]) if k in right else text.ljust(widths[k])  # noqa: E731
    return "\n".join("  ".join(aligned(k, text) for k, text in enumerate(row)).rstrip() for row in rows)


def _formatted(value) -> str:
    if isinstance(value, tuple):
        return " / ".join(map(_formatted, value))
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _verdict(key: str, wanted, got) -> str:
    return "" if key not in wanted else "ok" if wanted[key] == got.get(key) else "differs"


def _plot(data: Dataset, out: Path) -> None:
    """Share of nodes with at least so many neighbours, both axes logarithmic; where there are times, pairs over time by
    part."""
    times = _times(data)
    figure = blank(10 if times else 6, 4)
    axes, *rest = np.atleast_1d(figure.subplots(1, 2 if times else 1))
    for axis in rest:
        _plot_times(axis, times)
    for what, count in _degrees(data).items():
        positive = np.sort(count[count > 0])
        axes.loglog(positive, 1 - np.arange(len(positive)) / len(count), drawstyle="steps-post", label=what)
    axes.set(title=_title(data), xlabel="degree d", ylabel="share with degree >= d")
    for axis in (axes.xaxis, axes.yaxis):  # 1000, not mathematics, which is not read in pictures with names
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.legend()
    axes.grid(alpha=0.3)
    out.parent.mkdir(parents=True, exist_ok=True)
    save(figure, out)


def _plot_times(axis, times: dict[str, np.ndarray]) -> None:
    """Pairs over time, the parts on top of each other."""
    moments = {part: time.astype("datetime64[s]").astype("datetime64[D]") for part, time in times.items()}
    axis.hist(list(moments.values()), bins=40, stacked=True, label=list(moments))
    axis.set(title="pairs over time", ylabel="pairs")
    axis.tick_params(axis="x", rotation=30)
    axis.legend(loc="upper left", ncols=3)


COMMANDS = {"list": list_sets, "check": check, "describe": describe, "fetch": fetch}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line -> exit status; unusable data is one line on standard error."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("socialjax").setLevel(logging.INFO)
    try:
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS, args=arguments, prog="python -m socialjax data", description=__doc__
        )
    except DataError as error:
        print(f"error: {visible(error)}", file=sys.stderr)
        return 1
