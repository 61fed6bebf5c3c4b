"""Published files over HTTP: verified by checksum, resumed with Range, renamed into place; features if asked for."""

import contextlib
import dataclasses
import errno
import fcntl
import http.client
import logging
import os
import queue
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from socialjax import stop
from socialjax.data.own.features import FEATURE_FILES
from socialjax.data.sets import PUBLISHED
from socialjax.data.sets.published import Published, RemoteFile
from socialjax.formats import file_bytes
from socialjax.formats.file_bytes import DataError

log = logging.getLogger(__name__)
CHUNK = 1 << 16


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of a download. The largest published file has some 25 MB.

    Attributes:
        silence: seconds without data that end a request.
        total: seconds for one file.
        tries: requests for one file.
        largest: bytes of a file; half of the free disk space is a further limit.
    """

    silence: float = 4.0
    total: float = 900.0
    tries: int = 3
    largest: int = 4 << 30


LIMITS = Limits()


class DownloadError(DataError):
    """A published file could not be downloaded: the address, what happened, what to do."""


class Unreachable(DownloadError):
    """The host itself fails: no network, a name that does not resolve, a refused, silent or broken connection."""


def fetch(
    entry: Published, folder: Path, limits: Limits = LIMITS, files: tuple[RemoteFile, ...] | None = None
) -> list[Path]:
    """Downloads missing files of a published set, logging which they are and how large.

    Args:
        entry: the published set.
        folder: of the files.
        limits: of the download.
        files: those that are wanted; by default all that `entry` requires, and no optional one.

    Returns:
        The paths of the downloaded files.

    Raises:
        DownloadError: a file could not be downloaded; what was received is kept for the next try as `<name>.part`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(_disk_trouble(folder, error)) from error
    lacking = [file for file in files or entry.files if not (folder / file.name).is_file()]
    if lacking:
        log.info("%s: downloading %s", entry.name, ", ".join(file.name for file in lacking))
    return [fetch_file(file, entry.addresses, folder, limits) for file in lacking]


def fetch_file(file: RemoteFile, addresses: tuple[str, ...], folder: Path, limits: Limits = LIMITS) -> Path:
    """Downloads one file from the first of `addresses` that has the right content -> its path in `folder`."""
    target, failures = folder / file.name, []
    try:
        with _partial(folder, file.name) as part:
            for address in addresses:
                try:
                    _complete(f"{address}/{file.name}", part, file, limits)
                    os.fsync(part.fileno())
                    os.replace(part.name, target)
                    return target
                except Unreachable:
                    raise
                except DownloadError as error:
                    failures.append(str(error))
    except OSError as error:
        raise DownloadError(_disk_trouble(folder, error)) from error
    raise DownloadError("; ".join(failures))


def content_id(path: Path, file: RemoteFile) -> str:
    """The checksum by which `file` is known, computed for the content at `path`."""
    return file.id_of(path.read_bytes())


@contextlib.contextmanager
def _partial(folder: Path, name: str):
    """The open and locked `<name>.part`; a private one when another process has locked that."""
    shared, private = folder / f"{name}.part", folder / f"{name}.{os.getpid()}.part"
    part = open(shared, "ab+")
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between opening and locking, its owner may have finished and renamed it: then this is the finished file.
        ours = os.path.samestat(os.fstat(part.fileno()), os.stat(shared))
    except OSError:
        ours = False
    if not ours:
        part.close()
        part = open(private, "ab+")
    try:
        with part:
            try:
                yield part
            finally:
                with contextlib.suppress(OSError):
                    if _size(part) == 0:  # nothing that a later run could go on with
                        Path(part.name).unlink(missing_ok=True)
    finally:
        private.unlink(missing_ok=True)


def _size(part) -> int:
    part.flush()
    return os.fstat(part.fileno()).st_size


def _complete(url: str, part, file: RemoteFile, limits: Limits) -> None:
    """Fills `part` until its content is that of `file`; resumes after a break, starts over after a wrong start."""
    deadline, want = time.monotonic() + limits.total, file.wanted
    expected = None
    for _ in range(limits.tries):
        stop.check()
        resumed = _size(part) > 0
        whole, expected = _receive(url, part, limits, deadline)
        if not whole:
            log.info("%s: broke off after %d of %s bytes", url, _size(part), expected)
            continue
        checksum = content_id(Path(part.name), file)
        if checksum == want:
            return
        part.truncate(0)
        if not resumed:  # a fresh copy, so it is not the old part that was wrong
            raise DownloadError(f"{url}: the content has checksum {checksum}, wanted {want}; it is another file")
    raise Unreachable(
        f"{url}: broke off {limits.tries} times, {_size(part)} of {expected} bytes so far; run again to resume"
    )


def _receive(url: str, part, limits: Limits, deadline: float) -> tuple[bool, int | None]:
    """One request for what `part` lacks -> (nothing is missing, bytes wanted in all where the server says so).

    Raises DownloadError, and keeps nothing, for more bytes than a file may have.
    """
    have = _size(part)
    room = min(limits.largest, (shutil.disk_usage(Path(part.name).parent).free + have) // 2)
    if have > room:
        part.truncate(0)
        have = 0
    headers = {"User-Agent": "socialjax", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        answer = _open(urllib.request.Request(url, headers=headers), limits)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing follows what is there: the checksum tells whether that is the file
            return True, have
        raise DownloadError(f"{url}: the server answers {error.code} {error.reason}") from None
    with answer:
        if have and not (answer.status == 206 and (answer.headers["Content-Range"] or "").startswith(f"bytes {have}-")):
            part.truncate(0)
            have = 0
        length = answer.headers["Content-Length"] or ""
        expected = have + int(length) if length.isdigit() else None
        log.info("%s: %s%s", url, _size_text(expected), f", {_size_text(have)} of them are here" if have else "")
        if expected is not None and expected > room:
            raise _too_large(part, url, f"wants to send {_size_text(expected)}", room, limits)
        show = {"desc": url.rsplit("/", 1)[-1], "disable": not sys.stderr.isatty(), "leave": False}
        with tqdm(total=expected, initial=have, unit="B", unit_scale=True, **show) as bar:
            while chunk := _read(answer, url):
                stop.check()
                part.write(chunk)
                bar.update(len(chunk))
                have += len(chunk)
                if have > room:
                    raise _too_large(part, url, f"sent {_size_text(have)} and goes on", room, limits)
                if time.monotonic() > deadline:
                    raise Unreachable(f"{url}: not complete after {limits.total:g} s; run again to resume")
    return expected is None or _size(part) >= expected, expected


def _too_large(part, url: str, what: str, room: int, limits: Limits) -> DownloadError:
    """The error for a file beyond its size limit; what was received is deleted."""
    part.truncate(0)
    why = "a published file may have" if room == limits.largest else "is half of the free room of the disk"
    return DownloadError(
        f"{url}: the server {what}, more than the {_size_text(room)} that {why}; nothing of it is kept"
    )


def _size_text(size: int | None) -> str:
    """A size for people, in decimal units."""
    if size is None:
        return "the server does not say how large"
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size:,} bytes"


def _read(answer, url: str) -> bytes:
    """The next bytes; none when the connection broke or timed out, which the caller notices by the count."""
    try:
        return answer.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        log.info("%s: %s", url, error)
        return b""


def _open(request: urllib.request.Request, limits: Limits):
    """The answer to `request` within `limits.silence` seconds; no socket time-out covers the look-up of a name."""
    answers: queue.SimpleQueue = queue.SimpleQueue()
    given_up = threading.Event()

    def ask():
        try:
            answer = urllib.request.urlopen(request, timeout=limits.silence)
        except Exception as error:
            answers.put(error)
        else:
            answers.put(answer)
            if given_up.is_set():
                answer.close()

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=limits.silence + 0.5)
    except queue.Empty:
        given_up.set()
        raise Unreachable(f"{request.full_url}: no answer within {limits.silence:g} s") from None
    if isinstance(answer, urllib.error.HTTPError):
        raise answer
    if isinstance(answer, Exception):
        raise Unreachable(f"{request.full_url}: cannot be reached ({getattr(answer, 'reason', answer)})")
    return answer


def _disk_trouble(folder: Path, error: OSError) -> str:
    what = "the disk is full" if error.errno == errno.ENOSPC else f"cannot write there ({error.strerror or error})"
    return f"{folder}: {what}; set SOCIALJAX_CACHE to a folder with room that can be written to"


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


def find(entry: Published, folder: Path, cached: Path, offline: bool, limits: Limits) -> list[Path]:
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
                fetch(entry, cached, limits, lacking)
                return find(entry, folder, cached, True, limits)
            except DownloadError as error:
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
