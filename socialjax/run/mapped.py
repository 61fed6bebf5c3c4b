"""A model on a graph folder, whose links and pairs stay on the disk: trained by rows, evaluated exactly, resumable."""

import dataclasses
import hashlib
import json
import logging
import time
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import jax
import numpy as np
import tyro

from socialjax import json_files
from socialjax.atomic_write import atomic_write
from socialjax.data.large.friends import friends
from socialjax.data.large.layout import FORMAT, META, GraphFolder, open_graph
from socialjax.data.large.pair_stream import PairStream
from socialjax.data.large.subset import held_out_users, of_users
from socialjax.eval import protocol
from socialjax.eval.mapped import Vectors, evaluate, write_vectors
from socialjax.eval.metrics import metric_rows, text_table
from socialjax.memory import peak_bytes
from socialjax.ops.mapped import MappedGraph
from socialjax.run.command import exit_code, say, set_up_logging
from socialjax.run.processes import only_one
from socialjax.train import mapped
from socialjax.train.host_batches import Draws, Pairs, ShuffledPairs
from socialjax.train.mapped import MappedTraining

log = logging.getLogger(__name__)
M = TypeVar("M")
GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class FolderSettings:
    """What is read; `--data.*` on the command line.

    Attributes:
      dir: Graph folder, see docs/scale_data.md.
      shards: Folder of its training pairs as array_record, which are then streamed; by default they are read at random
        places of the graph folder.
      friends: Folder of the links in both directions, made for models that want them; by default beside `dir`.
    """

    dir: Path
    shards: Path | None = None
    friends: Path | None = None


@dataclasses.dataclass(frozen=True)
class MappedEval:
    """How the trained model is evaluated; `--eval.*` on the command line.

    Attributes:
      users: How many users with pairs of the part are evaluated, chosen at random; 0 evaluates none.
      part: Evaluated part.
      protocol: sampledN-strict or sampledN-official: N items for each user beside those of the part.
      ks: Cut-offs.
      seed: Of users and items.
      memory_gib: What layers may take while all users and items are encoded.
    """

    users: int = 10_000
    part: Literal["validation", "test"] = "test"
    protocol: str = "sampled1000-strict"
    ks: tuple[int, ...] = (10, 20)
    seed: int = 0
    memory_gib: float = 2.0

    def __post_init__(self):
        if self.users < 0 or not self.memory_gib > 0:
            raise ValueError(
                f"--eval.users must be at least 0 and --eval.memory-gib above 0, got {self.users} and {self.memory_gib}"
            )
        if protocol.parse(self.protocol, ks=self.ks).num_negatives is None:
            raise ValueError(
                "--eval.protocol full ranks every item for every user, which a graph of any size forbids; choose "
                "sampledN-strict"
            )


@dataclasses.dataclass(frozen=True)
class MappedExperiment(Generic[M]):
    """A model on a graph folder.

    Attributes:
      model: Its settings.
      data: What is read.
      train: How the model is trained.
      eval: How it is evaluated.
      seed: Of training.
      workdir: Gets checkpoints, vectors and result.json; by default runs/MODEL/FOLDER. The same command goes on.
    """

    model: M
    data: FolderSettings
    train: MappedTraining = dataclasses.field(default_factory=MappedTraining)
    eval: MappedEval = dataclasses.field(default_factory=MappedEval)
    seed: int = 0
    workdir: Path | None = None


def is_graph_folder(folder: Path) -> bool:
    """Whether the meta.json in a folder says so; nothing else is looked at."""
    try:
        return json_files.read(folder / META).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        return False


def main(model: Any, name: str, words: list[str]) -> int:
    """Exit code of `socialjax train NAME --data.dir FOLDER ...` for a graph folder.

    Args:
      model: The model with its default settings.
      name: What it is called.
      words: The options.
    """
    set_up_logging()
    asked = tyro.cli(
        MappedExperiment[type(model)],
        prog=f"python -m socialjax train {name}",
        description=f"{name} on a graph folder that is read by memory mapping; docs/scale_data.md",
        default=MappedExperiment(model, FolderSettings(tyro.MISSING)),
        args=words,
    )
    return exit_code(lambda: _show(run(asked, name)))


def run(asked: MappedExperiment, name: str) -> dict[str, Any]:
    """Trains and evaluates; what is there already is not done again but evaluated.

    Returns:
      The content of result.json.

    Raises:
      DataError: a damaged folder, or shards of another one.
      ValueError: a model or option that a graph folder cannot have.
      Interrupted, Diverged, CheckpointError: as `train.mapped.train`.
      Held: another process works in the folder.
    """
    if not 0 <= asked.seed < 2**32:
        raise ValueError(f"--seed must be in 0..2^32 - 1, got {asked.seed}")
    mapped.check_model(asked.model)
    graph = open_graph(asked.data.dir)
    workdir = asked.workdir or Path("runs") / name / graph.path.resolve().name
    with only_one(workdir):
        return _run_in(workdir, asked, name, graph)


def _run_in(workdir: Path, asked: MappedExperiment, name: str, graph: GraphFolder) -> dict[str, Any]:
    side = asked.model.prepare(mapped_graph(graph, asked.train.fanouts, asked.data.friends))
    pairs, read = _pairs(graph, asked)
    deciding = {
        "model": {"name": name, **dataclasses.asdict(asked.model)},
        "train": asked.train.deciding(),
        "seed": asked.seed,
        "graph": graph.digest,
        "pairs": read,
    }
    fingerprint = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]
    draws = Draws(asked.model, side, pairs, graph.user_items, graph.num_items, asked.seed)
    log.info("%s on %d users, %d items, %d pairs, %d links", name, *_sizes(graph))
    state, cost = mapped.train(
        *(asked.model, side, draws, pairs.steps_per_epoch, asked.train, asked.seed),
        *(workdir / "checkpoints", fingerprint),
    )
    result = {**deciding, "steps": int(state.step), "epoch_steps": pairs.steps_per_epoch}
    result |= {"parameters": digest(state.params), "cost": cost}
    if asked.eval.users:
        params = state.params
        del state  # the optimiser's part of it is not needed any more
        result |= _evaluated(asked, graph, side, params, workdir)
    result["peak_bytes"] = peak_bytes()
    with atomic_write(workdir / "result.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n")
    return result


def mapped_graph(graph: GraphFolder, fanouts: tuple[int, ...], links: Path | None = None) -> MappedGraph:
    """A graph folder as `prepare` of a model takes it; `links`: folder of the links in both directions."""
    return MappedGraph(
        name=graph.meta.name,
        num_users=graph.num_users,
        num_items=graph.num_items,
        user_items=graph.user_items,
        item_users=graph.item_users,
        links=graph.follows,
        symmetric_links=lambda: friends(graph, links),
        fanouts=fanouts,
    )


def digest(params: Any) -> str:
    """sha256 of all parameters, their names and shapes."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.ascontiguousarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {array.dtype.str} {array.shape}".encode())
        found.update(array.data if array.size else b"")
    return found.hexdigest()


def _sizes(graph: GraphFolder) -> tuple[int, ...]:
    return graph.num_users, graph.num_items, graph.num_pairs, graph.num_links


def _pairs(graph: GraphFolder, asked: MappedExperiment) -> tuple[Pairs, str]:
    """The training pairs and what names their order."""
    if asked.data.shards is None:
        users, items = graph.train.user, graph.train.item
        return ShuffledPairs(users, items, asked.train.batch_size, asked.seed), "graph folder"
    stream = PairStream(asked.data.shards, asked.train.batch_size, asked.seed)
    if stream.num_pairs != graph.num_pairs:
        raise ValueError(
            f"--data.shards {asked.data.shards}: wanted the {graph.num_pairs} training pairs of {asked.data.dir}, got "
            f"{stream.num_pairs}; write them with pair_shards.write_training_pairs"
        )
    return stream, json.dumps({name: value for name, value in stream.state().items() if name != "step"})


def _evaluated(asked: MappedExperiment, graph: GraphFolder, side, params, workdir: Path) -> dict[str, Any]:
    began = time.monotonic()
    vectors = write_vectors(asked.model, params, side, workdir / "vectors", int(asked.eval.memory_gib * GIB))
    encoded = time.monotonic() - began
    log.info("all users and items encoded in %.0f s, peak %.1f GB", encoded, peak_bytes() / 1e9)
    chosen = held_out_users(graph, asked.eval.part, asked.eval.users, asked.eval.seed)
    how = protocol.parse(asked.eval.protocol, ks=asked.eval.ks, seed=asked.eval.seed)
    candidates = protocol.candidates(of_users(graph, chosen), how, asked.eval.part, chosen)
    popular = Vectors(
        np.broadcast_to(np.float32(1), (graph.num_users, 1)),
        np.asarray(graph.item_users.degree, np.float32)[:, None],
        np.zeros(graph.num_items, np.float32),
    )
    metrics = {"model": evaluate(asked.model, vectors, candidates).mean()}
    metrics["popularity"] = evaluate(asked.model, popular, candidates).mean()
    seconds = {"encode": round(encoded, 2), "all": round(time.monotonic() - began, 2)}
    return {"evaluation": {**dataclasses.asdict(asked.eval), "users": len(chosen)}, "metrics": metrics} | {
        "evaluation_seconds": seconds
    }


def _show(result: dict[str, Any]) -> None:
    cost = result["cost"]
    say(f"{result['steps']} steps ({result['epoch_steps']} an epoch), {cost['step_seconds']} s each in this call")
    say(f"parameters {result['parameters'][:16]}, peak {result['peak_bytes'] / 1e9:.2f} GB")
    if "metrics" in result:
        asked = result["evaluation"]
        names = [f"{metric}@{k}" for k in asked["ks"] for metric in ("NDCG", "Recall")] + ["AUC"]
        say(f"{asked['part']}, {asked['protocol']}, {asked['users']} users")
        say(text_table(metric_rows(list(result["metrics"].items()), names)))
