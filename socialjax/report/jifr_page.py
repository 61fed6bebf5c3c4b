"""What is measured and written of trained JIFR and its rivals: items, key frames, a report."""

from pathlib import Path

import numpy as np

from socialjax.data.schema import Dataset
from socialjax.eval import keyframes, protocol, ranking
from socialjax.eval.tables import markdown_table
from socialjax.models.visual.key_frames import RanksFrames
from socialjax.whole import whole

NEGATIVES = 100
KS = (5, 10)
TOP = 5  # recommended items in key_frames.tsv
AT_ONCE = 4096  # of them, whose frames are scored in one call


def ranked(data: Dataset) -> protocol.Protocol:
    """Against 100 items that the user never took, or, where some user has fewer, against all that they did not train
    on."""
    taken = np.bincount(np.concatenate([part.user for part in data.parts().values()]), minlength=data.num_users)
    name = f"sampled{NEGATIVES}-strict" if data.num_items - taken.max() >= NEGATIVES else "full"
    return protocol.parse(name, ks=KS)


def measured(model, side, state, data: Dataset) -> dict:
    """{"items": metrics of the test part, "key frames": summary or None}."""
    items = ranking.evaluate_state(model, state, protocol.candidates(data, ranked(data), "test")).mean()
    records = keyframes.records(data) if isinstance(model, RanksFrames) else None
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
    place = np.arange(np.diff(offsets).max())
    for start in range(0, len(users), AT_ONCE):
        of, best = users[start : start + AT_ONCE], items[start : start + AT_ONCE]
        rows = np.minimum(offsets[best][:, None] + place, len(data.frames) - 1).astype(np.int32)
        liking = np.array(model.frame_scores(state, side, of, rows))
        liking[place >= np.diff(offsets)[best][:, None]] = -np.inf
        for user, item, row, each in zip(of, best, rows, liking):
            has = np.isfinite(each).any()  # an item without frames is recommended all the same
            frame = f"{data.frames.names[row[each.argmax()]]}\t{each.max():.4f}" if has else "\t"
            lines.append(f"{data.describe_user(user)}\t{data.describe_item(item)}\t{frame}\n")
    with whole(path) as temporary:
        temporary.write_text("".join(lines))


def report(found: dict, told: tuple[str, ...], data: Dataset, seconds: dict[str, float], sheet: bool) -> str:
    """Markdown."""
    kind = "a made world of drawn films" if data.provenance.kind == "planted" else data.name
    lines = [f"# Items and key frames: {kind}", "", *(f"- {line}" for line in told), "", "## Items", ""]
    names = ["HR@5", "NDCG@5", "HR@10", "NDCG@10"]
    rows = [["model", *names]]
    rows += [[name, *(f"{of['items'][metric]:.3f}" for metric in names)] for name, of in found.items()]
    lines += [f"Test pairs, protocol {ranked(data).name}.", "", markdown_table(rows), ""]
    judged = {name: of["key frames"] for name, of in found.items() if of["key frames"]}
    if judged:
        metrics = ["HR@1", "NDCG@3", "HR@3", "NDCG@5"]
        first = next(iter(judged.values()))
        rows = [["", *metrics]]
        rows.append(["RND, closed form", *(f"{first['metrics'][metric]['random']:.3f}" for metric in metrics)])
        for name, of in judged.items():
            cells = [of["metrics"][metric] for metric in metrics]
            rows.append([name, *(f"{c['mean']:.3f}" + (f" ± {c['ci95']:.3f}" if c["ci95"] else "") for c in cells)])
        said = f"{first['records']} records of {first['users']} users; intervals of 95 %, clustered by user."
        lines += ["## Key frames", "", said, "", markdown_table(rows), ""]
    if sheet:
        lines += ["## Contact sheet", "", "![Frames of one item as users like them](contact_sheet.png)", ""]
    lines += ["key_frames.tsv names, for each user, the items that JIFR recommends and their key frames.", ""]
    took = ", ".join(f"{name} {each:.0f}" for name, each in seconds.items())
    lines += [f"Seconds of this call: {took}.", ""]
    return "\n".join(lines)
