"""The fixed data of HASC: who uploaded what, who follows whom, who made each image, and what attention is told."""

import jax
import numpy as np
from flax import struct
from scipy import sparse

from socialjax.graph import distinct, edges, normalise
from socialjax.models.history import taken_items
from socialjax.models.social.links import link_edges
from socialjax.ops import lookup
from socialjax.ops.propagate import Diffusion, diffusion


@struct.dataclass
class HASCSide:
    """uploads: edges image -> its owner; follows: edges followee -> follower; both mean-weighted.

    owner i32[I], U where nobody knows. past: training items of each user by their owner. images f32[I, F] at length 1,
    profiles f32[U, Fu], places f32[U, Fs]: what attention is told. None where it is absent or not asked for.
    """

    uploads: Diffusion | None
    follows: Diffusion | None
    owner: jax.Array | None
    past: lookup.SparseRows | None
    images: jax.Array | None
    profiles: jax.Array | None
    places: jax.Array | None
    num_users: int = struct.field(pytree_node=False)
    num_items: int = struct.field(pytree_node=False)


def hasc_side(model, columns) -> HASCSide:
    """model: a `HASC`; columns: a data set with links and owners. Raises ValueError for content_map without images."""
    if model.content_map and columns.item_features is None:
        raise ValueError(
            f"HASC with content_map needs item_features, which data set '{columns.name}' does not have; "
            "add them or use --model.no-content-map"
        )
    n, owner = columns.num_users, np.asarray(columns.owners)
    known = np.flatnonzero(owner >= 0)
    attends = model.aspects != "none" and ("att" in (model.bottom, model.top) or model.top == "max")
    hears_owners = model.aspects != "none" or model.owner_history
    visual = model.visual_inputs and attends
    images = None if columns.item_features is None else unit_rows(columns.item_features)
    taken = taken_items(columns)
    return HASCSide(
        uploads=_mean(known, owner[known], columns.num_items, n) if model.has("U") else None,
        follows=_follows(columns.links, n) if model.has("S") else None,
        owner=np.where(owner < 0, n, owner).astype(np.int32) if hears_owners else None,
        past=_past(taken, owner, known) if model.owner_history else None,
        images=images if visual or model.content_map else None,
        profiles=_profiles(columns.user_features, images, taken) if visual else None,
        places=_places(columns) if model.social_inputs and attends else None,
        num_users=n,
        num_items=columns.num_items,
    )


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Rows at length 1 f32[N, F]; rows of zeros stay."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(length, 1e-12)).astype(np.float32)


def _mean(senders, receivers, num_senders: int, num_receivers: int) -> Diffusion:
    return diffusion(normalise(edges(senders, receivers, num_senders, num_receivers), "mean"))


def _follows(links, num_users: int) -> Diffusion:
    """Each follow once, whatever the file holds, and nobody follows themselves."""
    users, followees = distinct(links.follower, links.followee, num_users)
    others = users != followees
    return _mean(followees[others], users[others], num_users, num_users)


def _past(taken: sparse.csr_array, owner: np.ndarray, known: np.ndarray) -> lookup.SparseRows:
    """Entry (a, o): how many distinct training items of a are of owner o; column U, unknown owners, is empty."""
    shape = taken.shape[1], taken.shape[0] + 1
    made_by = sparse.csr_array((np.ones(len(known), np.float32), (known, owner[known])), shape=shape)
    return lookup.sparse_rows(sparse.csr_array(taken @ made_by))


def _profiles(given: np.ndarray | None, images: np.ndarray | None, taken: sparse.csr_array) -> np.ndarray | None:
    """g_a: as given, at length 1, else the mean over the user's training items; zeros for a user without any."""
    if given is not None:
        return unit_rows(given)
    if images is None:
        return None
    count = np.maximum(np.diff(taken.indptr), 1).astype(np.float32)
    return ((taken @ images) / count[:, None]).astype(np.float32)


def _places(columns) -> np.ndarray:
    """e_a: as given, else from the follow graph."""
    if columns.social_features is not None:
        return np.asarray(columns.social_features, np.float32)
    from socialjax.ops.spectral import spectral  # SciPy's eigenvectors: half a second to import, and only for this

    return spectral(link_edges(columns, symmetric=False))
