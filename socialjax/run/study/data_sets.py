"""The same table of models on several data sets, one after the other, and all of them beside each other at the end.

Each set has its folder, so that a set that was finished by another command is read and not trained again. One set that
cannot be had does not stop the others.
"""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import tyro

from socialjax import stop
from socialjax.data.schema import Dataset
from socialjax.data.sources import DataSettings, load
from socialjax.eval.metrics import legend, metric_rows, text_table
from socialjax.formats.file_bytes import DataError
from socialjax.names import identifier
from socialjax.run.command import exit_code, say, set_up_logging
from socialjax.run.display import evaluated
from socialjax.run.execute import work_folder
from socialjax.run.record import RunRecord
from socialjax.run.study.baselines import compare_on
from socialjax.run.study.settings import Arguments as StudyArguments
from socialjax.run.study.settings import Row, Study, check

log = logging.getLogger(__name__)
METRIC = "NDCG@10"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The command line."""

    data: tuple[str, ...] = ()
    """Names of published sets, in the order in which they are run."""
    only: tuple[str, ...] = ()
    """Some of the rows."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run each; their mean and 95 % interval are shown."""
    sweep: str | None = None
    """Vary settings of some rows instead: dim or depth."""
    workdir: Path | None = None
    """Where it is kept, a folder a set; by default where the command of one set keeps it, runs/baselines_SET."""
    jobs: int = 1
    """Models at a time, each in a process with its share of the cores. On a CPU only."""
    offline: bool = False
    """Never download."""
    require_real: bool = False
    """Fail when the files of a set are not found, instead of running on its generated stand-in."""

    def on(self, name: str) -> StudyArguments:
        """The command line of the table of one set."""
        return StudyArguments(
            data=DataSettings(name=name, offline=self.offline, require_real=self.require_real),
            only=self.only,
            seeds=self.seeds,
            sweep=self.sweep,
            workdir=self.workdir and self.workdir / identifier(name, "a data set"),
            jobs=self.jobs,
        )


def main(studies: Mapping[str, Study], command: str, summary: str, arguments: list[str] | None = None) -> int:
    """The whole command on sets among `studies`, by default on all; 0 when every model has its row on each.

    command, summary: what is typed and what --help says.
    """
    set_up_logging()
    failed: list[str] = []

    def act():
        default = Arguments(data=tuple(studies))
        chosen = tyro.cli(Arguments, prog=command, description=summary, default=default, args=arguments)
        failed.extend(compare(studies, chosen))

    return exit_code(act) or (1 if failed else 0)


def compare(studies: Mapping[str, Study], arguments: Arguments) -> list[str]:
    """Runs or reads the rows of every set and prints the tables; `set: row`, or a set, of those that failed.

    Raises ValueError, before anything is trained, for sets and rows that there are not, and Interrupted after SIGTERM
    or Ctrl-C.
    """
    if unknown := [name for name in arguments.data if name not in studies]:
        raise ValueError(f"--data must name some of {', '.join(studies)}, got {', '.join(unknown)}")
    if repeated := sorted({name for name in arguments.data if arguments.data.count(name) > 1}):
        raise ValueError(f"--data names {', '.join(repeated)} more than once")
    for name in arguments.data:
        check(studies[name], arguments.on(name))
    records, kinds, failed = {}, {}, []
    for number, name in enumerate(arguments.data, 1):
        stop.check()
        log.info("== data set %d of %d: %s", number, len(arguments.data), name)
        try:
            data = load(arguments.on(name).data)
        except DataError as error:
            log.error("%s failed: %s", name, error)
            failed.append(name)
            continue
        rows, failed_rows = compare_on(studies[name], arguments.on(name), data)
        kinds[name] = "" if data.provenance.kind == "real" else f" ({data.provenance.kind})"
        records[name] = {label: _result(row, data) for label, row in rows.items()}
        failed += [f"{name}: {label}" for label in failed_rows]
    if len(records) > 1:
        say(_summary_table(records, kinds), flush=True)
    if failed:
        say(f"failed: {', '.join(failed)}; the same command tries them again", flush=True)
    return failed


def _result(row: Row, data: Dataset) -> RunRecord:
    return RunRecord.read(work_folder(row.definition, row.experiment, data, row.place) / "result.json")


def _summary_table(records: dict[str, dict[str, RunRecord]], kinds: dict[str, str]) -> str:
    """A line a row, a column a set: mean and 95 % interval over seeds."""
    labels = list(dict.fromkeys(label for results in records.values() for label in results))
    columns = {name + kinds[name]: results for name, results in records.items()}
    figures = [
        (label, {head: results[label].metrics[METRIC] for head, results in columns.items() if label in results})
        for label in labels
    ]
    protocols = sorted({record.protocol for results in records.values() for record in results.values()})
    firsts = {head: next(iter(results.values())) for head, results in columns.items() if results}
    users = [f"{head}: {evaluated(record)}" for head, record in firsts.items()]
    head = f"{METRIC}, {', '.join(protocols)}, test"
    return "\n".join(["", head, text_table(metric_rows(figures, list(columns))), *users, *legend([METRIC])])
