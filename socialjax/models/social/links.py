"""The social graph as social models hear it: edges from a friend to the user who listens."""

from socialjax.graph import Normalisation, edges, normalise, symmetrise
from socialjax.ops.propagate import Diffusion, diffusion


def friends(columns, symmetric: bool = True, how: Normalisation = "mean") -> Diffusion:
    """Edges friend -> user weighted by `how`; columns: a data set with links.

    symmetric: a link counts in both directions, once, without self links (DiffNet's loader); False keeps the file's
    direction: a user hears whom they follow.
    """
    n = columns.num_users
    links = edges(columns.links.followee, columns.links.follower, n, n)
    return diffusion(normalise(symmetrise(links) if symmetric else links, how))
