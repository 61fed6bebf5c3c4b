"""Damage as strangers, disks and editors do it: bytes, JSON values, or something else in the place of a file."""

import json
import os
import shutil

import numpy as np

LEAVES = [None, True, 0, -1, 2**70, 1e308, "", "x" * 300, "../../x", "\x1b[31m", "nan", [], [[]], {}, {"a": {}}, "8"]


def leaves(value, path=()):
    """Paths of all values of a JSON document, those that hold others as well."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from leaves(each, (*path, key))


def changed_json(rng, content: bytes) -> bytes:
    """One value replaced, taken out or put under another name."""
    first, *lines = content.decode().split("\n") if content.count(b"}\n{") else [content.decode()]
    document = json.loads(first)
    paths = list(leaves(document))
    path = paths[rng.integers(len(paths))]
    place = document
    for key in path[:-1]:
        place = place[key]
    match rng.integers(4):
        case 0:
            del place[path[-1]]
        case 1 if isinstance(place, dict):
            place[f"{path[-1]}_"] = place.pop(path[-1])
        case _:
            place[path[-1]] = LEAVES[rng.integers(len(LEAVES))]
    return "\n".join([json.dumps(document), *lines]).encode()


def changed_bytes(rng, content: bytes) -> bytes:
    """Bytes changed, taken out, put in, repeated, cut off, or all of them."""
    array = np.frombuffer(content or b"?", np.uint8).copy()
    place = int(rng.integers(len(array)))
    match rng.integers(6):
        case 0:
            array[rng.integers(len(array), size=rng.integers(1, 9))] ^= rng.integers(1, 256, dtype=np.uint8)
            return array.tobytes()
        case 1:
            return content[:place]
        case 2:
            return content[:place] + content[place + int(rng.integers(1, 60)) :]
        case 3:
            return content[:place] + rng.bytes(int(rng.integers(1, 20))) + content[place:]
        case 4:
            return content[:place] + content[max(0, place - 200) :]
        case _:
            return b""


def replace(rng, path, files):
    """Something else in the place of a file."""
    path.unlink()
    match rng.integers(6):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to("/dev/zero")
        case 3:
            path.symlink_to(path.name)
        case 4:
            other = files[rng.integers(len(files))]
            if other.is_file():
                shutil.copyfile(other, path)


def damage(rng, folder):
    """Damages one file of a folder in place; returns its path below the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".png")
    shallow = [path for path in files if path.suffix in (".json", ".jsonl", ".npz")]
    pool = shallow if shallow and rng.random() < 0.6 else files
    path = pool[rng.integers(len(pool))]
    content, kind = path.read_bytes(), rng.random()
    if path.suffix == ".json" and kind < 0.5:
        path.write_bytes(changed_json(rng, content))
    elif kind < 0.85:
        path.write_bytes(changed_bytes(rng, content))
    else:
        replace(rng, path, files)
    return str(path.relative_to(folder))
