"""Why HASC scores pairs as it does, on the host: what each aspect, each upload and each followee adds (section 10).

Contributions, not weights, say what counts: a large gamma on a short vector adds nothing.
"""

import numpy as np

from socialjax.models.history import places_of
from socialjax.models.parts import pair_dot
from socialjax.models.protocol import Explanation, Ragged

ASPECTS = ("upload", "social", "owner")


def explain(model, state, side, users, items) -> Explanation:
    """Parts: `interest` <p_a, w_i>, `upload`, `social` and `owner` gamma_l <z_l, w_i>, `past_owner`, `item_bias`.

    Elements: `upload` the user's images with alpha, `social` the users followed with beta, `owner` the image's owner
    with gamma_3, each with its share of the part. Under MAX the weight is the share of numbers that are the largest.
    `aspects` is no part but the rows of the attention over aspects, 0, 1, 2 for upload, social, owner, with gamma.
    """
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    towards = np.asarray(state.items, np.float64)[items]
    parts = {"interest": pair_dot(np.asarray(state.users)[users], towards)}
    if model.aspects == "none":
        return _with_past(model, state, users, items, parts, {})
    owner = np.asarray(state.owner)[items]
    gamma = np.asarray(model.gamma(state, users, owner[:, None]))[:, 0].astype(np.float64)
    found = {}
    pooled = ((side.uploads, state.uploads, state.alpha), (side.follows, state.friends, state.beta))
    for place, (edges, context, weight) in enumerate(pooled):
        if context is None:
            continue
        name = ASPECTS[place]
        parts[name] = (gamma[:, place] * pair_dot(np.asarray(context)[users], towards)).astype(np.float32)
        said = np.asarray(state.said[place], np.float64)
        found[name] = _elements(model, edges, weight, said, users, towards * gamma[:, place, None])
    if state.owners is not None:
        parts["owner"] = (gamma[:, 2] * pair_dot(np.asarray(state.owners)[owner], towards)).astype(np.float32)
        known = owner < len(np.asarray(state.users))
        found["owner"] = _ragged(known.astype(int), owner[known], gamma[known, 2], parts["owner"][known])
    names = [name for name in ASPECTS if name in parts]
    of_gamma = gamma[:, [ASPECTS.index(name) for name in names]]
    added = np.stack([parts[name] for name in names], axis=1)
    which = np.tile([ASPECTS.index(name) for name in names], len(users))
    found["aspects"] = _ragged(np.full(len(users), len(names)), which, of_gamma.ravel(), added.ravel())
    return _with_past(model, state, users, items, parts, found)


def _with_past(model, state, users, items, parts, found) -> Explanation:
    if state.past is not None:
        past = np.asarray(model.past_of(state, users, items[:, None]))[:, 0]
        parts = {**parts, "past_owner": past.astype(np.float32)}
    return model.explained(state, users, items, parts, found)


def _elements(model, edges, weight, said, users, towards) -> Ragged:
    """What each sender adds to <context of the users, towards>: said f64[N, D], towards f64[P, D]."""
    places, pair, offsets = places_of(edges, users)
    ids = np.asarray(edges.senders)[places]
    if weight is None:  # MAX: whose numbers are the largest; equal ones share
        best = np.full(towards.shape, -np.inf)
        np.maximum.at(best, pair, said[ids])
        won = (said[ids] == best[pair]).astype(np.float64)
        winners = np.zeros(towards.shape)
        np.add.at(winners, pair, won)
        share = won / winners[pair]
    else:
        share = np.repeat(np.asarray(weight, np.float64)[places][:, None], said.shape[1], axis=1)
    heard = share * said[ids]
    if model.normalise_aspects:
        total = np.zeros(towards.shape)
        np.add.at(total, pair, heard)
        heard = heard / np.sqrt(np.maximum((total**2).sum(axis=1), 1e-12))[pair, None]
    return _ragged(np.diff(offsets), ids, share.mean(axis=1), (heard * towards[pair]).sum(axis=1))


def _ragged(count, ids, weight, contribution) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    return Ragged(offsets, ids.astype(np.int32), weight.astype(np.float32), contribution.astype(np.float32))
