"""The social graph as social models hear it: edges from a friend to the user who listens."""

from socialjax.graph import Edges, Normalisation, edges, normalise, symmetrise
from socialjax.ops.propagate import Diffusion, diffusion


def link_edges(columns, symmetric: bool = True) -> Edges:
    """Edges friend -> user of weight 1; columns: a data set with links. symmetric: see `friends`."""
    n = columns.num_users
    links = edges(columns.links.followee, columns.links.follower, n, n)
    return symmetrise(links) if symmetric else links


def friends(columns, symmetric: bool = True, how: Normalisation = "mean") -> Diffusion:
    """Edges friend -> user weighted by `how`; columns: a data set with links.

    symmetric: a link counts in both directions, once, without self links (DiffNet's loader); False keeps the file's
    direction: a user hears whom they follow.
    """
    return diffusion(normalise(link_edges(columns, symmetric), how))
