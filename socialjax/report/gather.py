"""Kept runs, read back and checked: whole, measured alike, in the order of the paper, marked when they are stale.

Which finished runs lie in the folders that people name: a run, or a study or a sweep with runs inside.

One tidy table of all figures: a line for each run, protocol, metric and cut-off.
"""

import csv
import dataclasses
import functools
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from socialjax import models, npz_files
from socialjax.data.own.features import FEATURE_FILES
from socialjax.data.sets import published
from socialjax.data.sources import DataSettings
from socialjax.eval.beyond import MEANINGS
from socialjax.eval.metrics import escaped
from socialjax.names import KEPT, identifier, visible
from socialjax.report import keep
from socialjax.report.keep import check_all_users, per_user, sha256
from socialjax.report.papers import Paper
from socialjax.run import results
from socialjax.run.display import evaluated, is_published, others
from socialjax.run.model_code import code_digest, is_same_code
from socialjax.run.record import RunRecord, check_users
from socialjax.run.study.baselines import is_aside

RESULT = "result.json"
SEED = "seed_"
DEEPEST = 20  # folders inside one another


@dataclasses.dataclass(frozen=True)
class FinishedRuns:
    """runs: folders of finished runs, in the order given, each once. left_out: folder -> why it is none of them."""

    runs: list[Path]
    left_out: dict[Path, str]


def finished(folders: Sequence[Path]) -> FinishedRuns:
    """Every finished run in the folders and below them; links, what was put aside and what has not ended are left out.

    Raises ValueError for a name that is no folder and for one below which nothing has finished.
    """
    result = FinishedRuns([], {})
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder; name folders of finished runs, or a folder that holds some")
        before = len(result.runs), len(result.left_out)
        _look(folder, result)
        if (len(result.runs), len(result.left_out)) == before and folder not in result.runs:
            raise ValueError(
                f"{folder} holds no finished run, neither {RESULT} nor a folder with one; name the folder of a run, "
                "the one with a folder for each seed, or a folder that holds such folders"
            )
    if not result.runs:
        why = "; ".join(f"{folder}: {why}" for folder, why in result.left_out.items())
        raise ValueError(f"there is no finished run among them ({why}); run the same command again to finish one")
    return result


def _look(folder: Path, result: FinishedRuns, depth: int = 0) -> None:
    if depth and folder.is_symlink():
        result.left_out[folder] = "a link; name the folder itself to keep what it leads to"
    elif depth > DEEPEST:
        result.left_out[folder] = f"more than {DEEPEST} folders deep"
    elif is_aside(folder):
        result.left_out[folder] = "put aside as out of date"
    elif (folder / RESULT).is_file() and not _is_report(folder):
        if folder not in result.runs:
            result.runs.append(folder)
    elif any(folder.glob(f"{SEED}*/")):
        result.left_out[folder] = f"not finished, {RESULT} is missing"
    else:
        for inside in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
            _look(inside, result, depth + 1)


def _is_report(folder: Path) -> bool:
    """Whether its result.json sums up runs inside, as experiments of several runs wrote before report.json."""
    return any(folder.glob(f"*/{RESULT}")) and not any(folder.glob(f"{SEED}*/"))


SWEPT = re.compile(r"-(\w+)=")
PLACES = ("dir", "offline", "require_real")  # where data lies, not what they are
MODEL_INPUTS = ("published_features",)  # inputs beside the pairs; with features and without is a comparison


@dataclasses.dataclass(frozen=True)
class Kept:
    """One kept run: result.json and what its users got.

    users i32[U], values f16[U, S, M] of the S seeds and of the metrics of the table's protocol that are kept. cold:
    the same on items that nobody has in training, for the users who have such a test item; None if not measured.
    search: the kept search for this model's settings, if there is one.
    """

    name: str
    record: RunRecord
    users: np.ndarray
    values: np.ndarray
    metrics: tuple[str, ...]
    cold: "Kept | None" = None
    search: dict | None = None

    @property
    def model(self) -> str:
        return self.record.model

    @property
    def seeds(self) -> list[int]:
        return self.record.seeds

    @property
    def swept(self) -> str:
        """`dim` of `diffnet-dim=16`; empty for a run that is a row of the main tables."""
        found = SWEPT.search(self.name)
        return found[1] if found else ""

    @property
    def base(self) -> str:
        """`diffnet` of `diffnet-dim=16`; the name itself for a run that is a row of the main tables."""
        return SWEPT.split(self.name)[0]

    @property
    def is_older(self) -> bool:
        """Whether it is of the older protocol: its epoch was chosen on lists that knew the test part, or its settings
        are not those that the kept search found. Values of a sweep are judged by the epoch alone."""
        if self.record.chosen_on is None:
            return True
        return self.search is not None and not self.swept and not keep.is_of(self.search, self.record.settings)

    @functools.cached_property
    def is_stale(self) -> bool:
        """Whether the model's code has changed since. False for a run that does not say by which code it was made."""
        if self.record.code is None:
            return False
        if self.model not in models.MODELS:
            return True
        return not is_same_code(self.record.code, code_digest(models.MODELS[self.model]))

    def user_means(self, metric: str) -> np.ndarray:
        """f64[U]: each user's mean over the seeds. Raises ValueError for a metric that is not kept."""
        return self._values_of(metric).mean(axis=1)

    def seed_means(self, metric: str) -> np.ndarray:
        """f64[S]: each seed's mean over the users. Raises ValueError for a metric that is not kept."""
        return self._values_of(metric).mean(axis=0)

    def _values_of(self, metric: str) -> np.ndarray:
        if metric not in self.metrics:
            raise ValueError(f"{self.name} keeps {', '.join(self.metrics)} of each user, not {metric}")
        return self.values[:, :, self.metrics.index(metric)].astype(np.float64)


def read(folder: Path) -> Kept:
    """The kept run in `folder`. Raises ValueError when a file is missing or damaged, when the two are not those that
    were kept together, and when the metrics of one are not the means over the users of the other."""
    path = folder / "per_user.npz"
    record = RunRecord.read(folder / "result.json")
    identifier(folder.name, "a kept run", KEPT)
    arrays = npz_files.read(path) if path.is_file() else None
    if arrays is None or sha256(path) != record.per_user_sha256:
        raise ValueError(f"{path} is missing or is not the one that belongs to result.json; keep the run again")
    run = _made(folder.name, record, _as_kept(path, arrays, len(record.seeds)))
    check_users(record.seeds, record.metrics, run.metrics, run.values, folder / "result.json")
    return run


def _as_kept(path: Path, arrays: dict[str, np.ndarray], seeds: int) -> dict[str, np.ndarray]:
    """The arrays, when they are as `keep.per_user` makes them. Raises ValueError when not."""
    for prefix in ("", "cold_") if "cold_users" in arrays else ("",):
        users, values, metrics = (arrays.get(f"{prefix}{name}") for name in ("users", "values", "metrics"))
        if (
            any(array is None for array in (users, values, metrics))
            or (users.ndim, metrics.ndim) != (1, 1)
            or (users.dtype.kind, values.dtype.kind, metrics.dtype.kind) != ("i", "f", "U")
            or values.shape != (len(users), seeds, len(metrics))
            or not np.isfinite(values).all()
            or not (prefix or len(users))
        ):
            raise ValueError(f"{path}: wanted users and their metrics by {seeds} seeds, got others; keep the run again")
    return arrays


def of_run(run: Path, name: str, metrics: tuple[str, ...] = keep.KEPT) -> Kept:
    """A finished run that is not kept, as if it were, under that name, with these metrics of each user.

    Raises ValueError as `keep.keep` does.
    """
    record = RunRecord.read(run / "result.json")
    check_all_users(run, record)
    return _made(name, record, per_user(run, record.seeds, metrics))


def _made(name: str, record: RunRecord, arrays: dict[str, np.ndarray]) -> Kept:
    whole, cold = (
        Kept(
            name,
            record,
            arrays[f"{prefix}users"],
            arrays[f"{prefix}values"],
            tuple(map(str, arrays[f"{prefix}metrics"])),
        )
        if f"{prefix}users" in arrays
        else None
        for prefix in ("", "cold_")
    )
    return dataclasses.replace(whole, cold=cold)


def folders(kept: Path, dataset: str) -> list[Path]:
    """The folders of a data set's kept runs. Raises BadName for what is no name of a data set."""
    return sorted(path.parent for path in (kept / identifier(dataset, "a data set")).glob("*/result.json"))


def gather(kept: Path, dataset: str, paper: Paper) -> list[Kept]:
    """All kept runs of a data set, in the order of the paper. Raises ValueError when they were not measured alike."""
    kept_searches = keep.kept_searches(kept, dataset)
    runs = [dataclasses.replace(run, search=kept_searches.get(run.model)) for run in map(read, folders(kept, dataset))]
    return measured_alike(sorted(runs, key=lambda run: paper.place(run.name, run.model)))


def measured_alike(runs: list[Kept]) -> list[Kept]:
    """The runs, if they may stand in one table. Raises ValueError that says what differs."""
    for run in runs[1:]:
        differs = [what for what, value in _measured(run).items() if value != _measured(runs[0])[what]]
        if not np.array_equal(run.users, runs[0].users):
            differs.append("the evaluated users")
        if differs:
            raise ValueError(
                f"{run.record.dataset}: {run.name} and {runs[0].name} were not measured alike ({', '.join(differs)} "
                "differ), so they cannot stand in one table; run one of them again as the other, or take it away"
            )
    return runs


def main_rows(runs: Sequence[Kept]) -> list[Kept]:
    """Without the values of sweeps."""
    return [run for run in runs if not run.swept]


def newest(runs: Sequence[Kept]) -> Kept:
    """The run whose baselines are shown: the first whose code is today's, if there is one."""
    return min(runs, key=lambda run: run.is_stale)


def references(runs: Sequence[Kept]) -> dict[str, dict[str, float]]:
    """Baseline -> its metrics under the table's protocol."""
    return newest(runs).record.references


def beyond_references(runs: Sequence[Kept]) -> dict[str, dict[str, float]]:
    """Baseline -> its metrics beyond accuracy, where a run has measured them."""
    having = [run for run in runs if run.record.references_beyond]
    return newest(having).record.references_beyond if having else {}


def about(runs: Sequence[Kept], label=lambda run: run.name, protocol: str | None = None) -> str:
    """The line below every table: data, protocol, seeds, commits, and which rows are stale."""
    record = runs[0].record
    made = f"STAND-IN ({escaped(record.data)}: generated, not real data)"
    kind = ("real data" if record.data == "real" else made) + escaped(altered(record))
    features = {run.record.features for run in runs}
    features_note = {("none",): "ids only", ("given",): "with features"}.get(
        tuple(features), "features where a row says so"
    )
    commits = ", ".join(dict.fromkeys(escaped(_short(run.record.commit)) for run in runs))
    usual_seeds = Counter(span(run.seeds) for run in runs).most_common(1)[0][0]
    others = "".join(f", {escaped(label(run))} {span(run.seeds)}" for run in runs if span(run.seeds) != usual_seeds)
    stale_labels = [escaped(label(run)) for run in runs if run.is_stale]
    stale_rows = "every row" if len(stale_labels) == len(runs) else ", ".join(stale_labels)
    stale = (
        f" STALE, the model's code has changed since: {stale_rows}; run again and keep again." if stale_labels else ""
    )
    older = (
        f" Older protocol: the epoch was chosen on lists that left out test items, or the settings are not from the "
        f"search of {keep.TRIALS} trials."
    ) * any(run.is_older for run in runs)
    users = "" if record.users is None else f"{evaluated(record)}; "  # runs of before do not say
    return (
        f"{record.dataset}, {kind}, {features_note}; {protocol or record.protocol}, test; {users}"
        f"seeds {usual_seeds}{others}; commit {commits}.{stale}{older}"
    )


def altered(record: RunRecord) -> str:
    """`, ALTERED: FILE` for a run on files that are not those of the published set."""
    return published.note(record.provenance.get("published", ""))


def span(seeds: Sequence[int]) -> str:
    """`0-4`, or `1 4` when they do not follow one another."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}-{seeds[-1]}"
    return " ".join(map(str, seeds))


def _short(commit: str) -> str:
    name, _, dirty = commit.partition("-")
    return name[:7] + (f"-{dirty}" if dirty else "")


def _measured(run: Kept) -> dict:
    """What must be equal for two runs to be compared."""
    settings, data, lines = run.record.settings, run.record.provenance, run.record.references
    measured = {f"eval.{key}": settings["eval"][key] for key in ("protocol", "seed")}
    given = dataclasses.asdict(DataSettings()) | settings["data"]  # a run of before a setting came had its default
    measured |= {
        f"data.{key}": results.plain(value) for key, value in given.items() if key not in (*PLACES, *MODEL_INPUTS)
    }
    popularity = {k: round(v, 6) for k, v in lines.get("popularity", {}).items() if k in run.metrics}
    files = {name: sha for name, sha in data["files"].items() if name.removesuffix(".gz") not in FEATURE_FILES}
    return measured | {"data kind": data["kind"], "data files": files, "the popularity line": popularity}


HEAD = "dataset data features model protocol metric k mean ci95 seeds commit".split()
TEXTS = frozenset(HEAD) - {"k", "mean", "ci95"}
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # as spreadsheets read them, wide ones too
METRICS = ("HR", "Recall", "NDCG")
OWN_METRICS = ("Hit", *METRICS, "MRR")  # of one's own data
LISTS = "full"  # the lists of metrics beyond accuracy are of all items but those taken in training


def export_csv(runs: Sequence[Kept]) -> list[list[str]]:
    """Lines of a data set's runs, its baselines first; without the header."""
    lines = []
    own = (kind for run in runs for kind in others(run.record))
    wanted = {*(METRICS if is_published(runs[0].record.dataset) else OWN_METRICS), *MEANINGS, *own}
    record = runs[0].record
    for protocol, baselines in ((record.protocol, references(runs)), (LISTS, beyond_references(runs))):
        for name, metrics in baselines.items():
            start = [record.dataset, record.data + altered(record), "none", name, protocol]
            lines += [[*start, *_at(m), f"{v:.6f}", "", "", ""] for m, v in metrics.items() if _kind(m) in wanted]
    for run in runs:
        record = run.record
        end = [" ".join(map(str, run.seeds)), record.commit[:12] + ("-dirty" if "dirty" in record.commit else "")]
        for protocol, metrics in (*record.by_protocol().items(), (LISTS, record.beyond or {})):
            start = [record.dataset, record.data + altered(record), record.features, run.name, protocol]
            for metric, value in metrics.items():
                if _kind(metric) in wanted:
                    width = "" if value["ci95"] is None else f"{value['ci95']:.6f}"
                    lines.append([*start, *_at(metric), f"{value['mean']:.6f}", width, *end])
    return lines


def as_csv(lines: Sequence[Sequence[str]]) -> str:
    """With its head. Texts that a spreadsheet would take for a formula have a quote before them."""
    text = io.StringIO()
    of_texts = [column in TEXTS for column in HEAD]
    plain = [[cell_text(cell) if is_text else cell for cell, is_text in zip(line, of_texts)] for line in lines]
    csv.writer(text, lineterminator="\n").writerows([HEAD, *plain])
    return text.getvalue()


def cell_text(text: str) -> str:
    """A text that no spreadsheet computes, on one line."""
    escaped_text = visible(text)
    return f"'{escaped_text}" if escaped_text.lstrip().startswith(FORMULA) else escaped_text


def _kind(metric: str) -> str:
    return metric.partition("@")[0]


def _at(metric: str) -> list[str]:
    name, _, k = metric.partition("@")
    return [name, k]
