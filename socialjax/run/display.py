"""What is shown of a run: its data, settings and table on the screen, its curves and those of a sweep as pictures."""

import dataclasses
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from socialjax.contract import Model
from socialjax.data import validate
from socialjax.data.own import ngcf
from socialjax.data.schema import Dataset
from socialjax.data.sets import PUBLISHED, published
from socialjax.drawing import BLUE, GREEN, GREY, ORANGE, blank, save
from socialjax.eval.beyond import LISTED, MEANINGS
from socialjax.eval.keyframes import MEANING
from socialjax.eval.metrics import html_table, legend, metric_rows, plain_html, text_table
from socialjax.names import visible
from socialjax.run.record import RunRecord
from socialjax.train.step import METRIC

SHOWN = ("HR@5", "HR@10", "HR@15", "NDCG@5", "NDCG@10", "NDCG@15")  # of published sets, as DiffNet's tables have them
OWN = ("Hit", "Recall", "NDCG", "MRR")  # of one's own data, at one or two cut-offs
ALSO = ("HR@10", "Recall@20", "NDCG@10")  # of further protocols, in one line
BEYOND = ("Coverage", "Gini", "Novelty", "ILD", "FeatureILD", "Lift", "Tail")  # of lists, as many as fit on a screen


def describe(data: Dataset, model: Model | None = None) -> str:
    """The data in one line, name, kind, features and whether `model` uses them, and sizes; below it, indented, what
    was repaired, dropped and joined, and what is noticed about it."""
    there = data.user_features is not None or data.item_features is not None
    taken = there if model is None else takes_features(model, data)
    features = "with features" if taken else "ids only, features not used" if there else "ids only"
    kind = "STAND-IN (generated, not real data)" if data.provenance.kind == "stand-in" else data.provenance.kind
    as_published = data.provenance.published
    kind += published.note(as_published) or (f", {as_published}" if as_published else "")
    links = "no links" if data.links is None else f"{len(data.links):,} links"
    frames = "" if data.frames is None else f", {len(data.frames):,} frames"
    attributes = "" if data.attributes is None else f", {len(data.attributes.names)} attributes"
    pairs = " / ".join(f"{len(part):,}" for part in data.parts().values())
    remarks = dict.fromkeys((*data.provenance.repairs, *validate.notes(data)))
    return (
        f"{data.name}, {kind}, {features}: {data.num_users:,} users, {data.num_items:,} items, {pairs} pairs, {links}"
        f"{frames}{attributes}"
    ) + "".join(f"\n  {visible(remark)}" for remark in remarks)


def takes_features(model: Model, data: Dataset) -> bool:
    """Whether the model reads features that the data has."""
    given = any(
        getattr(data, part) is not None for part in ("user_features", "item_features") if part in model.traits.uses
    )
    taken = model.traits.uses + model.traits.needs
    given = given or any(getattr(data, part) is not None for part in ("frames", "attributes") if part in taken)
    return given and dataclasses.asdict(model).get("use_features", True)


def settings_line(model) -> str:
    return " ".join(f"{field.name}={getattr(model, field.name)}" for field in dataclasses.fields(model))


def is_published(name: str) -> bool:
    """Whether a data set of that name is one that papers have tables of."""
    return name in PUBLISHED or name in ngcf.PUBLISHED


def shown(record: RunRecord, further: Iterable[str] = ()) -> list[str]:
    """The metrics of a table, and those `further` ones that were measured.

    HR and NDCG as DiffNet's tables have them for published sets; for other data Hit, Recall, NDCG and MRR, at K = 10
    and 20 or, where one or two cut-offs were asked for, at these.
    """
    cut_offs = [int(name.partition("@")[2]) for name in record.metrics if name.startswith("NDCG@")]
    if len(cut_offs) > 2:
        cut_offs = [k for k in cut_offs if k in (10, 20)] or cut_offs[:2]
    own = [f"{name}@{k}" for name in OWN for k in cut_offs]
    first = [name for name in SHOWN if name in record.metrics] if is_published(record.dataset) else []
    return [name for name in dict.fromkeys((*(first or own), *further)) if name in record.metrics]


def swept(record: RunRecord) -> list[str]:
    """The two metrics of a table of values: hits and NDCG, at K = 10 where that was measured."""
    metrics = shown(record)
    at_ten = [name for name in metrics if name.endswith("@10")] or metrics
    hits = [name for name in at_ten if name.startswith(("HR@", "Hit@"))]
    return [*hits[:1], *[name for name in at_ten if name.startswith("NDCG@")][:1]]


def users_line(users: dict[str, int]) -> str:
    """`60 of 61 users are evaluated, 2 of them cold (no training pair); 58 choose the epoch`."""
    cold = f", {users['cold']:,} of them cold (no training pair)" if users["cold"] else ", none of them cold"
    chosen = f"; {users['validation']:,} choose the epoch" if users["validation"] else "; no validation part"
    return f"{users['evaluated']:,} of {users['all']:,} users are evaluated{cold}{chosen}"


def evaluated(record: RunRecord) -> str:
    """The same of a result; of one of before, the number of evaluated users."""
    return f"{record.evaluated:,} users are evaluated" if record.users is None else users_line(record.users)


Block = str | list[list[str]]  # a line, or the rows of a table with its header first


def table(record: RunRecord, folder: Path) -> str:
    """The table printed at the end: baselines, the result, reported figures; a stand-in is marked on the last line."""
    blocks = _blocks(record, folder)
    return "\n" + "\n".join(block if isinstance(block, str) else text_table(block) for block in blocks)


def html(record: RunRecord, folder: Path) -> str:
    """The same for a page or a notebook, all text escaped."""
    blocks = _blocks(record, folder)
    shown = (f"<div>{plain_html(block)}</div>" if isinstance(block, str) else html_table(block) for block in blocks)
    return "\n".join(shown)


def _blocks(record: RunRecord, folder: Path) -> list[Block]:
    seeds = " ".join(map(str, record.seeds))
    stand_in = record.data == "stand-in"
    rows = [*record.references.items(), (f"{record.model} (seeds {seeds}){_marked(record)}", record.metrics)]
    reported = {name: None for row in record.reported or () for name in row["metrics"]}
    metrics = shown(record, reported)
    features = "ids only" if record.features == "none" else "with features"
    altered = published.note(record.provenance.get("published", ""))
    chosen = "chosen on validation" if record.validation else "the last, without validation"
    blocks: list[Block] = [
        f"{visible(record.experiment)} on {record.dataset} ({visible(record.data + altered)}, {features}), "
        f"{record.protocol}, test, epoch {', '.join(map(str, record.epoch))} {chosen}",
        evaluated(record),
        metric_rows(rows, metrics),
    ]
    also = ALSO if is_published(record.dataset) else [name for name in metrics if name.partition("@")[0] in OWN]
    further = [(name, m, results[m]["mean"]) for name, results in record.also.items() for m in also if m in results]
    for name in record.also:
        blocks.append(f"{name}: " + "  ".join(f"{m} {mean:.4f}" for of, m, mean in further if of == name))
    blocks += legend([*metrics, *(m for _, m, _ in further)])
    blocks += _beyond(record)
    blocks += _key_frames(record)
    if record.reported and not stand_in:
        blocks.append("reported elsewhere (settings differ, see the notes):")
        rows = [(f"{row['name']}: {row['note']}", row["metrics"]) for row in record.reported]
        rows += _under_the_same_protocol(record)
        blocks.append(metric_rows(rows, [name for name in metrics if name in reported]))
    seconds = record.seconds
    blocks.append(
        f"{seconds['total']:.0f} s in all, {record.pairs_per_second:,.0f} pairs/s in training, "
        f"peak memory {record.peak_memory_bytes / 2**30:.2f} GiB; kept in {folder}"
    )
    if stand_in:
        blocks.append(f"STAND-IN: {record.dataset} was generated; these figures say nothing about the real data")
    return blocks


def next_steps(folder: Path, seeds: Sequence[int]) -> str:
    """What one types next, below the table of a run: recommendations, a comparison, and where the curves are."""
    run = shlex.quote(str(folder))
    return (
        f"next: python -m socialjax recommend {run} --all best.csv\n"
        f"      python -m socialjax compare {run} OTHER_RUN --out report\n"
        f"      curves of the training: {folder / f'seed_{seeds[0]}' / 'curves.png'}"
    )


def others(record: RunRecord) -> list[str]:
    """The metrics of lists that were measured and are not the library's."""
    kinds = dict.fromkeys(name.partition("@")[0] for name in record.beyond or {})
    return [kind for kind in kinds if kind not in LISTED]


def beyond_shown(record: RunRecord, wanted: Iterable[str] | None = None) -> list[str]:
    """The metrics beyond accuracy of a table at one cut-off, ten where that was measured; empty for runs of before."""
    wanted = (*BEYOND, *others(record)) if wanted is None else wanted
    measured = record.beyond or {}
    ks = sorted({int(name.partition("@")[2]) for name in measured if "@" in name}, key=lambda k: (k != 10, k))
    return [name for name in (f"{kind}@{k}" for k in ks[:1] for kind in wanted) if name in measured]


def _beyond(record: RunRecord) -> list[Block]:
    """The table of metrics beyond accuracy, where they were measured."""
    metrics = beyond_shown(record)
    if not metrics:
        return []
    rows = [*(record.references_beyond or {}).items(), (f"{record.model}{_marked(record)}", record.beyond)]
    head = f"beyond accuracy, the first {metrics[0].partition('@')[2]} of all items but those taken in training:"
    return [head, metric_rows(rows, metrics), *legend(metrics, MEANINGS)]


class ResultTable:
    """The table of a run: prints as at the end of its command, and is a table of HTML where a notebook shows it.

    Attributes:
        record: what the folder keeps, over all seeds.
    """

    def __init__(self, record: RunRecord, folder: Path):
        self.record, self._folder = record, folder

    def __repr__(self) -> str:
        return table(self.record, self._folder).strip()

    def _repr_html_(self) -> str:
        return html(self.record, self._folder)

    def to_pandas(self):
        """A pandas.DataFrame: a row for each baseline and for the model, a column for each metric that was measured,
        those beyond accuracy last, and, of several seeds, one with half the width of its 95 % interval, called
        `METRIC ci95`."""
        import pandas as pd

        record = self.record
        rows = baseline_figures(record) | {record.model: {name: of["mean"] for name, of in figures(record).items()}}
        widths = {f"{name} ci95": of["ci95"] for name, of in figures(record).items() if of["ci95"] is not None}
        rows[record.model] |= widths
        return pd.DataFrame.from_dict(rows, orient="index")


def figures(record: RunRecord) -> dict[str, dict]:
    """The metrics of the table's protocol and those beyond accuracy: name -> {"mean", "ci95", "values"}."""
    return record.metrics | (record.beyond or {})


def baseline_figures(record: RunRecord) -> dict[str, dict[str, float]]:
    """The same of the baselines: baseline -> name -> value."""
    lists = record.references_beyond or {}
    return {name: found | lists.get(name, {}) for name, found in record.references.items()}


def _under_the_same_protocol(record: RunRecord) -> list[tuple[str, dict]]:
    """This run once more, by each protocol that a reported row names: figures of two protocols are not comparable."""
    measured = record.by_protocol()
    named = dict.fromkeys(row.get("protocol") for row in record.reported)
    width = f", D = {dim}" if (dim := record.settings["model"].get("dim")) else ""
    return [(f"this run: {name}{width}", measured[name]) for name in named if name in measured]


def _key_frames(record: RunRecord) -> list[Block]:
    """The table of key frames with chance above it, where some of them are known to be liked."""
    key_frames = record.key_frames
    if not key_frames or not key_frames["metrics"]:
        return []
    skipped = ", ".join(f"{number:,} with {why} left out" for why, number in key_frames["skipped"].items() if number)
    head = f"key frames: {key_frames['records']:,} records of {key_frames['users']:,} users" + (
        f"; {skipped}" if skipped else ""
    )
    if key_frames.get("truncated"):
        head += f"; a training pair does not see {key_frames['truncated']:.1%} of the frames"
    rows = [("random, closed form", {name: metric["random"] for name, metric in key_frames["metrics"].items()})]
    of_users = len(record.seeds) == 1  # then the interval is that of the records, clustered by user
    ours = {name: m | {"ci95": m["within"] if of_users else m["ci95"]} for name, m in key_frames["metrics"].items()}
    rows.append((f"{record.model}, ± over {'users' if of_users else 'seeds'}", ours))
    return [head, metric_rows(rows, list(key_frames["metrics"])), MEANING]


def draw_curves(
    path: Path, lines: list[dict], title: str, chosen_epoch: int, floor: float | None, metric: str = METRIC
) -> None:
    """lines: those of metrics.jsonl. floor: popularity's validation metric, drawn as a dotted line. metric: of the
    validation part, by which the epoch was chosen."""
    figure = blank(9, 3.6)
    figure.suptitle(title, fontsize=10)
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in lines]
    left.plot(epochs, [line["loss"] for line in lines], marker=".", color=BLUE)
    left.set(xlabel="epoch", ylabel="training loss (with L2)")
    validated = [line for line in lines if "validation" in line]
    if validated:
        right.plot(
            [line["epoch"] for line in validated],
            [line["validation"][metric] for line in validated],
            marker=".",
            color=GREEN,
        )
        right.axvline(chosen_epoch, color=ORANGE, linewidth=1, label=f"chosen: epoch {chosen_epoch}")
        if floor is not None:
            right.axhline(floor, color=GREY, linestyle=":", label="popularity")
        right.legend(fontsize=8, loc="lower right")
    else:
        right.text(0.5, 0.5, "no validation part", ha="center", transform=right.transAxes)
    right.set(xlabel="epoch", ylabel=f"validation {metric}")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.xaxis.get_major_locator().set_params(integer=True)
    save(figure, path)


def summary(name: str, records: dict[str, RunRecord], folder: Path) -> str:
    """Table of label -> result record, with popularity above; names sweep_NAME.png in `folder`, which `draw` draws."""
    first = next(iter(records.values()))
    rows = [("popularity", first.references["popularity"])]
    rows += [(f"{label}{_marked(record)}", record.metrics) for label, record in records.items()]
    head = f"sweep of {name} on {first.dataset} ({first.data}), {first.protocol}, test"
    head += f"; {folder / f'sweep_{name}.png'}"
    metrics = swept(first)
    return "\n".join(["", head, evaluated(first), text_table(metric_rows(rows, metrics)), *legend(metrics)])


def _marked(record: RunRecord) -> str:
    return ", STAND-IN" if record.data == "stand-in" else ""


def draw_sweep(path: Path, name: str, records: dict[str, RunRecord]) -> None:
    """A bar for each value."""
    first = next(iter(records.values()))
    figure = blank(9, 1.4 + 0.45 * len(records))
    figure.suptitle(f"{first.experiment} on {first.dataset} ({first.data}), {first.protocol}", fontsize=10)
    labels = [label.replace(",", "\n") for label in records]
    metrics = swept(first)
    for axis, metric in zip(figure.subplots(1, len(metrics), sharey=True), metrics):
        found = [record.metrics[metric] for record in records.values()]
        means, widths = [f["mean"] for f in found], [f["ci95"] or 0.0 for f in found]
        axis.barh(labels, means, xerr=widths if any(widths) else None, color=BLUE, height=0.6)
        axis.axvline(first.references["popularity"][metric], color=GREY, linestyle=":", label="popularity")
        for row, mean in enumerate(means):
            axis.text(mean, row, f" {mean:.4f}", va="center", fontsize=8)
        axis.set(title=metric, xlim=(0, 1.2 * max(means)))
        axis.tick_params(labelsize=8)
        axis.invert_yaxis() if metric == metrics[0] else None
    figure.axes[0].set_ylabel(name)
    figure.axes[-1].legend(fontsize=8, loc="lower right")
    save(figure, path)
