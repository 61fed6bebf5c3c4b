"""Item embeddings as a FAISS index of inner products (Johnson, Douze and Jegou, IEEE Big Data 2021)."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from socialjax.export.id_files import needed, written_with_ids

if TYPE_CHECKING:
    import faiss


def index_of(items: np.ndarray, bias: np.ndarray) -> "faiss.IndexFlatIP":
    """An exact index of items f32[I, D] whose bias f32[I] is one more column: a query is a user's vector and a 1.

    Raises ImportError without the extra `ann`.
    """
    faiss = needed("faiss", "ann", "an index of items")
    rows = np.ascontiguousarray(np.concatenate([items, bias[:, None]], axis=1), np.float32)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    return index


def queries_of(users: np.ndarray) -> np.ndarray:
    """What users f32[U, D] ask such an index: f32[U, D + 1], their vectors and a 1."""
    return np.concatenate([users, np.ones((len(users), 1), users.dtype)], axis=1).astype(np.float32)


def write_index(path: Path, items: np.ndarray, bias: np.ndarray, user_ids: np.ndarray, item_ids: np.ndarray) -> None:
    """Writes the index, and beside it what its row numbers are called. Raises ImportError as `index_of`."""
    faiss = needed("faiss", "ann", "an index of items")
    index = index_of(items, bias)
    with written_with_ids(path, user_ids, item_ids, columns=int(index.d), metric="inner product") as temporary:
        temporary.write_bytes(faiss.serialize_index(index).tobytes())
