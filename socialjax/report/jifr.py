"""What is measured and written of trained JIFR and its rivals: items, key frames, a report.

The contact sheet of a trained JIFR: which item and which users are shown, and what they like.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from socialjax.atomic_write import atomic_write
from socialjax.data.schema import Dataset
from socialjax.eval import keyframes, protocol, ranking
from socialjax.eval.metrics import legend, markdown_table
from socialjax.explain.liked_frames import case_study, draw_frames, likings
from socialjax.run.display import users_line
from socialjax.run.workbench import evaluated_users
from socialjax.worlds.drawn_pictures import STYLES
from socialjax.worlds.frames import FramesWorld

NEGATIVES = 100
KS = (5, 10)
TOP = 5  # recommended items in key_frames.tsv
AT_ONCE = 4096  # of them, whose frames are scored in one call


def ranked(data: Dataset) -> protocol.Protocol:
    """Against 100 items that the user never took, or, where some user has fewer, against all that they did not train
    on."""
    taken = np.bincount(np.concatenate([part.user for part in data.parts().values()]), minlength=data.num_users)
    name = f"sampled{NEGATIVES}-strict" if data.num_items - taken.max() >= NEGATIVES else "full"
    return protocol.parse(name, ks=KS).within(data.num_items)


def measured(model, side, state, data: Dataset) -> dict:
    """{"items": metrics of the test part, "key frames": summary or None}."""
    items = ranking.evaluate_state(model, state, protocol.candidates(data, ranked(data), "test")).mean()
    records = keyframes.records(data) if model.traits.ranks_frames else None
    if records is None or not len(records):
        return {"items": items, "key frames": None}
    scores = keyframes.record_scores(model, state, side, records)
    return {"items": items, "key frames": keyframes.frame_metrics(scores, records).summary()}


def write_key_frames(path: Path, model, side, state, data: Dataset) -> None:
    """The best items of every user, each with its key frame and how much they like it."""
    everyone = np.arange(data.num_users, dtype=np.int32)
    items, _ = ranking.top_k(model, state, everyone, min(TOP, data.num_items), data.num_items, exclude=data.train)
    users, items = np.repeat(everyone, items.shape[1])[items.ravel() >= 0], items[items >= 0]
    offsets, lines = data.frames.offsets, ["user\titem\tkey_frame\tliking\n"]
    slots = np.arange(np.diff(offsets).max())
    for start in range(0, len(users), AT_ONCE):
        batch_users, best = users[start : start + AT_ONCE], items[start : start + AT_ONCE]
        rows = np.minimum(offsets[best][:, None] + slots, len(data.frames) - 1).astype(np.int32)
        liking = np.array(model.frame_scores(state, side, batch_users, rows))
        liking[slots >= np.diff(offsets)[best][:, None]] = -np.inf
        for user, item, row, frame_likings in zip(batch_users, best, rows, liking):
            has = np.isfinite(frame_likings).any()  # an item without frames is recommended all the same
            frame = f"{data.frames.names[row[frame_likings.argmax()]]}\t{frame_likings.max():.4f}" if has else "\t"
            lines.append(f"{data.describe_user(user)}\t{data.describe_item(item)}\t{frame}\n")
    with atomic_write(path) as temporary:
        temporary.write_text("".join(lines))


def report(results: dict, notes: tuple[str, ...], data: Dataset, seconds: dict[str, float], sheet: bool) -> str:
    """Markdown."""
    kind = "a synthetic world of drawn films" if data.provenance.kind == "planted" else data.name
    lines = [f"# Items and key frames: {kind}", "", *(f"- {line}" for line in notes), "", "## Items", ""]
    names = [f"{name}@{k}" for k in ranked(data).ks for name in ("HR", "NDCG")]
    rows = [["model", *names]]
    rows += [[name, *(f"{result['items'][metric]:.3f}" for metric in names)] for name, result in results.items()]
    users = users_line(evaluated_users(data))
    lines += [f"Test pairs, protocol {ranked(data).name}; {users}.", "", markdown_table(rows), ""]
    lines += [f"{'. '.join(legend(names))}.", ""]
    key_frames = {name: result["key frames"] for name, result in results.items() if result["key frames"]}
    if key_frames:
        metrics = ["HR@1", "NDCG@3", "HR@3", "NDCG@5"]
        first = next(iter(key_frames.values()))
        rows = [["", *metrics]]
        rows.append(["RND, closed form", *(f"{first['metrics'][metric]['random']:.3f}" for metric in metrics)])
        for name, summary in key_frames.items():
            cells = [summary["metrics"][metric] for metric in metrics]
            rows.append([name, *(f"{c['mean']:.3f}" + (f" ± {c['ci95']:.3f}" if c["ci95"] else "") for c in cells)])
        caption = f"{first['records']} records of {first['users']} users; intervals of 95 %, clustered by user."
        lines += ["## Key frames", "", caption, "", markdown_table(rows), "", f"{keyframes.MEANING}.", ""]
    if sheet:
        lines += ["## Contact sheet", "", "![Frames of one item as users like them](contact_sheet.png)", ""]
    lines += ["key_frames.tsv names, for each user, the items that JIFR recommends and their key frames.", ""]
    durations = ", ".join(f"{name} {each:.0f}" for name, each in seconds.items())
    lines += [f"Seconds of this call: {durations}.", ""]
    return "\n".join(lines)


USERS, LIKED = 6, 2  # rows, and pictures of each user's own items
_LOOKED_AT = 300  # users among whom those with other key frames are sought


def contact_sheet(
    path: Path,
    model,
    side,
    state,
    data: Dataset,
    picture: Callable[[int], np.ndarray],
    world: FramesWorld | None = None,
    style: np.ndarray | None = None,
) -> None:
    """Draws the frames of one item, which `has_frames_to_show`, for some users.

    picture: row of data.frames -> u8[h, w, 3]. world, style i32[L]: the planted tastes and the styles of rows.
    """
    item = popular_item(data, style)
    frames = np.arange(data.frames.offsets[item], data.frames.offsets[item + 1])
    users = lovers(world) if world is not None else differing(model, side, state, data, frames)
    rows = case_study(model, state, side, data, users, item, LIKED)
    if world is not None:
        rows = [dataclasses.replace(row, taste=world.taste[row.user]) for row in rows]
    title = f"{data.describe_item(item)}: its key frame for {len(users)} users"
    styles = () if world is None else STYLES
    draw_frames(path, title, data.frames, rows, picture, styles, style, limit=len(frames))


def has_frames_to_show(data: Dataset, style: np.ndarray | None = None) -> bool:
    """Whether the item that would be shown has two frames."""
    item = popular_item(data, style)
    return bool(data.frames.offsets[item + 1] - data.frames.offsets[item] >= 2)


def popular_item(data: Dataset, style: np.ndarray | None = None) -> int:
    """The item with most styles, or most frames where styles are not known; of equals the one that most users took."""
    taken = np.bincount(data.train.item, minlength=data.num_items)
    kinds = np.diff(data.frames.offsets)
    if style is not None:
        pairs = np.unique(np.stack([data.frames.item, style]), axis=1)
        kinds = np.bincount(pairs[0], minlength=data.num_items)
    return int(np.lexsort((-taken, -kinds))[0])


def lovers(world: FramesWorld) -> np.ndarray:
    """Users i64[USERS]: for each style who likes it most, and those whose taste is most divided."""
    most = list(dict.fromkeys(world.taste.argmax(axis=0).tolist()))[:USERS]
    divided = [user for user in np.argsort(world.taste.max(axis=1), kind="stable").tolist() if user not in most]
    return np.array(most + divided[: USERS - len(most)])


def differing(model, side, state, data: Dataset, frames: np.ndarray) -> np.ndarray:
    """Users, at most USERS, one for each key frame as far as there are others."""
    users = np.unique(data.train.user)[:_LOOKED_AT]
    key = likings(model, state, side, users, frames).argmax(axis=1)
    _, first = np.unique(key, return_index=True)
    rest = np.setdiff1d(np.arange(len(users)), first)
    return users[np.sort(np.concatenate([first, rest])[:USERS])]
