"""Two thousand damaged files: a data set that passes its checks, or a DataError that names the folder; nothing else."""

import gzip
import io
import signal

import numpy as np
import pytest

from socialjax.data import validate
from socialjax.data.own import folder
from socialjax.data.sets import diffnet
from socialjax.formats.file_bytes import DataError

CASES = 2_000
NUMBERS = (b"-1", b"2147483647", b"99999999999999999999", b"4294967296", b"1e400", b"nan", b"inf", b"0x1", b"1_0", b"")


def damaged(rng, content: bytes) -> bytes:
    """One mutation of a file's bytes."""
    kind = rng.integers(11)
    place = int(rng.integers(len(content)))
    lines = content.split(b"\n")
    row = int(rng.integers(len(lines)))
    if kind == 0:  # some bytes flipped
        array = np.frombuffer(content, np.uint8).copy()
        array[rng.integers(len(array), size=rng.integers(1, 8))] ^= rng.integers(1, 256, dtype=np.uint8)
        return array.tobytes()
    if kind == 1:
        return content[:place]
    if kind == 2:  # a line twice
        return b"\n".join(lines[: row + 1] + lines[row:])
    if kind == 3:  # a column dropped
        lines[row] = lines[row].rpartition(b"\t")[0]
        return b"\n".join(lines)
    if kind == 4:  # a number replaced
        fields = lines[row].split(b"\t")
        fields[rng.integers(len(fields))] = NUMBERS[rng.integers(len(NUMBERS))]
        lines[row] = b"\t".join(fields)
        return b"\n".join(lines)
    if kind == 5:
        return content[:place] + b"\0" * int(rng.integers(1, 5)) + content[place:]
    if kind == 6:
        return rng.bytes(int(rng.integers(1, 400)))
    if kind == 7:  # a line without end
        return content[:place] + b"7" * int(rng.integers(1, 100_000)) + content[place:]
    if kind == 8:  # other separators, quotes, line ends, marks
        old, new = [(b"\t", b","), (b"\t", b" "), (b"\n", b"\r\n"), (b"\n", b"\r"), (b"1", b'"'), (b"\n", b"\xff")][
            rng.integers(6)
        ]
        return content.replace(old, new)
    if kind == 9:
        utf16 = content.decode("latin1").encode("utf-16")
        return [b"", b"\n\n", b"\xef\xbb\xbf" + content, utf16, b"\x1f\x8b" + content][rng.integers(5)]
    return content[:place] + bytes(rng.choice([0x80, 0xC3, 0xE2, 0x22, 0x2C, 0x0B, 0x1F], 2).tolist()) + content[place:]


def whole_files(rng) -> dict[str, bytes]:
    """A small world of 12 users and 20 items in DiffNet's format, by name of the file."""
    cells = rng.permutation(12 * 20)[:90]
    pairs = [b"%d\t%d\t1\n" % divmod(int(cell), 20) for cell in cells]
    links = {(a, b) for a, b in rng.integers(12, size=(30, 2)).tolist() if a != b}
    table = io.BytesIO()
    np.save(table, rng.normal(size=(12, 3)).astype(np.float32))
    return {
        "tiny.train.rating": b"".join(pairs[:60]),
        "tiny.val.rating": b"".join(pairs[60:70]),
        "tiny.test.rating": b"".join(pairs[70:]),
        "tiny.links": b"".join(b"%d\t%d\t1\n" % link for link in sorted(links)),
        "tiny.items": b"".join(b"%d\tthe item %d\n" % (item, item) for item in range(20)),
        "user_vector.npy": table.getvalue(),
    }


class Hang(Exception):
    """Not a DataError, so that it fails the test."""


def too_slow(*_):
    raise Hang("a file was read for more than 10 seconds")


def test_2000_damaged_files_give_a_checked_data_set_or_a_data_error(tmp_path):
    rng = np.random.default_rng(20190701)
    outcomes = {"read": 0, "refused": 0}
    old = signal.signal(signal.SIGALRM, too_slow)
    try:
        for case in range(CASES):
            files = whole_files(rng)
            names = list(files)
            if case % 3 == 0:
                del files["user_vector.npy"]
                names.remove("user_vector.npy")
            if case % 5 == 0:  # one unsplit file
                files = {"tiny.rating": files.pop("tiny.train.rating"), "tiny.links": files["tiny.links"]}
                names = list(files)
            name = names[rng.integers(len(names))]
            if case % 4 == 1:  # packed, then damaged or damaged, then packed
                inside = rng.integers(2)
                content = damaged(rng, files.pop(name)) if inside else files.pop(name)
                content = gzip.compress(content, mtime=0)
                name = f"{name}.gz"
                files[name] = content if inside else damaged(rng, content)
            else:
                files[name] = damaged(rng, files[name])
            for old_file in tmp_path.iterdir():
                old_file.unlink()
            for file, content in files.items():
                (tmp_path / file).write_bytes(content)
            loader = diffnet if case % 2 and "tiny.rating" not in files else folder
            signal.alarm(10)
            try:
                data = loader.read(tmp_path, "tiny")
                validate.check(data)
                outcomes["read"] += 1
            except DataError as problem:
                outcomes["refused"] += 1
                assert str(tmp_path) in str(problem) or "'tiny'" in str(problem), (case, name, str(problem))
                assert len(str(problem)) < 1_000, (case, name)
            except BaseException as problem:
                pytest.fail(f"case {case}, {name}: {type(problem).__name__}: {problem}")
            finally:
                signal.alarm(0)
    finally:
        signal.signal(signal.SIGALRM, old)
    assert min(outcomes.values()) > CASES // 10, outcomes  # else the mutations are too mild or too harsh to test much
