"""What files that leave a run share: ids in a JSON file beside them, and packages that writing asks for."""

import contextlib
import hashlib
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

from socialjax.atomic_write import atomic_write
from socialjax.data.schema import Dataset

BESIDE = ".ids.json"  # after the name of the file whose rows it names


def ids_of(names: np.ndarray | None, size: int) -> np.ndarray:
    """Ids as one types them: U[size], or the row numbers i64[size]."""
    return np.arange(size) if names is None else names


def user_and_item_ids(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The ids of all users [U] and items [I] of a data set, in the order of their rows."""
    return ids_of(data.user_names, data.num_users), ids_of(data.item_names, data.num_items)


@contextlib.contextmanager
def written_with_ids(path: Path, users: np.ndarray, items: np.ndarray, **more) -> Iterator[Path]:
    """Gives the name to write to; when the block ends well, the file is at `path` and its ids at `path` + `.ids.json`.

    Each is whole or absent. The ids come first and hold the sha256 of the file that they are of, so that a reader
    notices a pair of which a crash replaced one.

    Args:
        path: of the file.
        users: ids [U], in the order of its rows.
        items: ids [I], the same.
        **more: further fields of the JSON file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        yield temporary
        with temporary.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        named = {"file": path.name, "sha256": sha256, **more, "users": users.tolist(), "items": items.tolist()}
        with atomic_write(path.with_name(path.name + BESIDE)) as beside:
            beside.write_text(json.dumps(named, ensure_ascii=False) + "\n", encoding="utf-8")


def needed(module: str, extra: str, what: str) -> ModuleType:
    """The package of an extra. Raises ImportError that says what wants it and how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(
            f"{what} needs the package {module}, which is not installed; pip install 'socialjax[{extra}]'"
        ) from None
