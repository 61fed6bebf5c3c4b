"""A trained model, ready to be asked: what to recommend, to whom, how alike items are, and why."""

import dataclasses
import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.contract import Explanation, Model
from socialjax.data import sources
from socialjax.data.schema import Dataset
from socialjax.data.sources import DataSettings
from socialjax.data.validate import check
from socialjax.eval import ranking
from socialjax.eval.metrics import Rows, rows_of
from socialjax.explain.record import records
from socialjax.memory import release_programs
from socialjax.run import saved
from socialjax.run.definitions import code_digest
from socialjax.run.execute import run_in
from socialjax.run.record import SeedRecord
from socialjax.run.results import peak_memory_bytes
from socialjax.run.saved import blamed_on, find_seed, read_data, read_parameters, read_settings
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.run.workbench import Workbench
from socialjax.train.step import TrainSettings, on_device

EXAMPLES = 3
FEW = 16  # users that are answered one by one, quickly, and not in blocks


@dataclasses.dataclass(frozen=True)
class Ranked:
    """An item as one types it (its id in the file, else its number), its title for reading, and a score."""

    item: int | str
    title: str
    score: float


@dataclasses.dataclass(frozen=True)
class Element:
    """One friend, item, frame, attribute or path of these, and what it adds to a score.

    Attributes:
        id: as one types it; of a path the ids of its nodes.
        title: for reading.
        weight: in the sum that it is part of.
        contribution: share of the score.
        columns: what else the model says of it, by name.
    """

    id: int | str | tuple[int | str, ...]
    title: str
    weight: float
    contribution: float
    columns: dict[str, float]


@dataclasses.dataclass(frozen=True)
class ExplainedScore:
    """Why a user and an item got their score.

    Attributes:
        user: as one types it.
        item: as one types it.
        title: of the item, for reading.
        score: the sum of the parts.
        parts: name -> share of the score.
        labels: name of a part -> what people read for it.
        elements: name -> what the part of that name is made of, strongest first.
        exact: whether elements add up to their part; False where some are estimates.
    """

    user: int | str
    item: int | str
    title: str
    score: float
    parts: dict[str, float]
    labels: dict[str, str]
    elements: dict[str, list[Element]]
    exact: bool


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained model with its data. Users and items are named by the ids of their data set, items by titles too.

    Attributes:
        folder: that of the run; None for a model that was trained without one.
        seed: of the training.
        model: what was trained.
        data: on what.
        result: the seed's result.json; without a folder nothing was tested, and `metrics` is empty.
        side: what the model's `prepare` made of the data.
        state: what its `encode` returned for the best parameters.
    """

    folder: Path | None
    seed: int
    model: Model
    data: Dataset
    result: SeedRecord
    side: Any = dataclasses.field(repr=False)
    state: Any = dataclasses.field(repr=False)

    def recommend(self, users, k: int = 10, exclude_seen: bool = True) -> list[list[Ranked]]:
        """The k best items of each user, best first; fewer where not enough are left.

        Args:
            users: ids, or one.
            k: how many items, at most the size of the catalogue.
            exclude_seen: leave out what the user took in training.

        Raises:
            ValueError: an unknown user, or k larger than the catalogue.
        """
        rows = self.user_numbers(users)
        seen = self._seen if exclude_seen else None
        top_items, scores = ranking.top_k(
            self.model, self.state, rows, k, self.data.num_items, seen, few=len(rows) <= FEW
        )
        return [self._ranked(items[items >= 0], best[items >= 0]) for items, best in zip(top_items, scores)]

    def score(self, users, items) -> np.ndarray:
        """Every user with every item: ids -> f32[N, M]."""
        rows, columns = self.user_numbers(users), self.item_numbers(items)
        table = np.broadcast_to(columns, (len(rows), len(columns)))
        return np.asarray(self.model.score(self.state, jnp.asarray(rows), jnp.asarray(table)))

    def similar_items(self, item, k: int = 10) -> list[Ranked]:
        """The k items whose embeddings have the largest cosine with that of `item`, which is left out."""
        row = self._one_item(item)
        embeddings = self._embeddings("similar items")[1]
        self._check_k(k, self.data.num_items - 1)
        length = np.linalg.norm(embeddings, axis=1)
        cosine = embeddings @ embeddings[row] / np.maximum(length * length[row], 1e-30)
        cosine[row] = -np.inf
        return self._best(cosine, k)

    def explain(self, users, items) -> list[ExplainedScore]:
        """Why pairs got their scores, in their order.

        Args:
            users: ids, or one.
            items: ids or titles, or one; as many as users, or several for one user.

        Raises:
            ValueError: unknown ids, or several users and another number of items.
        """
        return [_explained(record) for record in records(self.explanation(users, items), self.data, kept=None)]

    def explanation(self, users, items) -> Explanation:
        """The same as arrays over row numbers, as models give it: `explain.record.records` makes records of it."""
        rows, columns = self.user_numbers(users), self.item_numbers(items)
        if len(rows) != len(columns) and len(rows) != 1:
            raise ValueError(f"wanted one user, or as many users as items, got {len(rows)} users, {len(columns)} items")
        return self.model.explain(self.state, self.side, np.broadcast_to(rows, columns.shape), columns)

    def recommend_new(self, items=(), friends=(), k: int = 10) -> list[Ranked]:
        """The k best items for a new user; nothing is trained.

        Args:
            items: ids or titles of items that the user took; they are not recommended.
            friends: ids of users whom the user follows.
            k: how many items.

        Raises:
            ValueError: unknown ids, or friends for a model that does not use them.
            NotImplementedError: the model cannot take in a new user.
        """
        taken, followed = np.unique(self.item_numbers(items)), np.unique(self.user_numbers(friends))
        if len(followed) and "links" not in self.model.traits.needs + self.model.traits.uses:
            raise ValueError(f"{type(self.model).__name__} does not use friends; leave them out or take a social model")
        if not self.model.traits.new_users:
            raise NotImplementedError(f"{type(self.model).__name__} cannot take in a new user without training")
        self._check_k(k, self.data.num_items)
        _, embeddings, bias = self._embeddings("new users")
        scores = embeddings @ self.model.new_user(self.state, self.side, taken, followed) + bias
        scores[taken] = -np.inf
        return self._best(scores, min(k, self.data.num_items - len(taken)))

    @functools.cached_property
    def _seen(self) -> Rows:
        """The items that each user took in training."""
        return rows_of((self.data.train,), self.data.num_users, self.data.num_items)

    def user_numbers(self, users) -> np.ndarray:
        """Row numbers i32[N] of users as people type them."""
        return _numbers("user", users, self.data.user_names, self.data.num_users, self.data.name)

    def item_numbers(self, items) -> np.ndarray:
        """Row numbers i32[N] of items as people type them: ids, or titles that one item alone has."""
        data = self.data
        return _numbers("item", items, data.item_names, data.num_items, data.name, data.item_titles)

    def _one_item(self, item) -> int:
        numbers = self.item_numbers(item)
        if len(numbers) != 1:
            raise ValueError(f"wanted one item, got {len(numbers)}")
        return int(numbers[0])

    def _embeddings(self, what: str) -> tuple[np.ndarray, ...]:
        embeddings = self.model.vectors(self.state)
        if embeddings is None:
            raise NotImplementedError(f"{type(self.model).__name__} has no embeddings of items, which {what} need")
        return tuple(np.asarray(array) for array in embeddings)

    def _check_k(self, k: int, most: int) -> None:
        if not 1 <= k <= most:
            raise ValueError(f"k must be in 1..{most}, the size of the catalogue, got {k}")

    def _best(self, scores: np.ndarray, k: int) -> list[Ranked]:
        order = np.argsort(-scores, kind="stable")[:k]
        return self._ranked(order, scores[order])

    def _ranked(self, items, scores) -> list[Ranked]:
        typed = lambda item: _typed(item, self.data.item_names)  # noqa: E731
        return [Ranked(typed(i), self.data.describe_item(i), float(score)) for i, score in zip(items, scores)]


def fit(
    model: Model,
    data: Dataset | DataSettings,
    train: TrainSettings | None = None,
    *,
    folder: Path | str | None = None,
    seed: int = 0,
    protocol: str = EvalSettings.protocol,
    progress: bool = True,
) -> Run:
    """Trains a model on a data set, with early stopping on its validation part.

    Args:
        model: such as `BPR(dim=32)`.
        data: a data set, or from where one is read. Without a validation part all epochs are trained.
        train: how it is trained, by default as `TrainSettings()` says.
        folder: where a run is kept: parameters, settings, curves, and figures of the test part beside those of the
            baselines. The same call goes on with what is there, and `load(folder)` gives the same answers. Without a
            folder nothing stays on disk and the test part is not looked at.
        seed: of the parameters and of all randomness.
        protocol: how the validation and the test part are ranked: `full`, `sampledN-strict` or `sampledN-official`.
        progress: whether a bar shows how far it is.

    Returns:
        The recommender, with the parameters of the best epoch.

    Raises:
        ValueError: for a model that does not train, settings that do not fit the data, and a folder that holds a run
            of other settings or data.
        DataError: for data that cannot be read or do not hold what a data set must.
        Diverged: when the loss is not finite.
        Interrupted: after SIGTERM or Ctrl-C; what was done stays in the folder.
    """
    if not model.traits.trains:
        raise ValueError(f"{type(model).__name__} does not train; it is a baseline of every table")
    release_programs()
    ranked = EvalSettings(protocol=protocol, also=(), validation_protocol=protocol)
    settings = dataclasses.replace(train or TrainSettings(), quiet=not progress)
    if isinstance(data, DataSettings):
        source, data = data, sources.load(data)
    else:
        check(data)
        source, data = DataSettings(name=data.name), data if folder is None else saved.named(data)
    bench = Workbench(data)
    if folder is None:
        return _fitted(model, bench, settings, ranked, seed)
    folder, experiment = Path(folder), Experiment(model, source, settings, ranked, (seed,))
    run_in(folder, Definition("fit", "", experiment), experiment, bench)
    return _read(folder, seed, model, data, bench.side(model))


def _fitted(model: Model, bench: Workbench, settings: TrainSettings, ranked: EvalSettings, seed: int) -> Run:
    validation = bench.validation(ranked)
    with tempfile.TemporaryDirectory() as folder:
        trained = bench.train(model, settings, validation, seed, Path(folder), "fit")
    side, params = bench.side(model), jax.tree.map(jnp.asarray, trained.params)
    result = SeedRecord(
        seed=seed,
        metrics={},
        also={},
        groups={},
        validation=trained.validation,
        epoch=trained.epoch,
        seconds=trained.seconds | {"test": 0.0},
        pairs_per_second=trained.pairs_per_second,
        peak_memory_bytes=peak_memory_bytes(),
        popularity_validation=validation and validation.floor,
        chosen_on=validation and validation.chosen_on(),
        code=code_digest(model),
    )
    return Run(None, seed, model, bench.data, result, side, ranking.encode(model, params, side))


def _read(folder: Path, seed: int, model: Model, data: Dataset, side: Any) -> Run:
    result, record = SeedRecord.read(folder / f"seed_{seed}" / "result.json"), read_settings(folder)[2]
    params = jax.tree.map(jnp.asarray, read_parameters(model, side, record, folder, seed))
    return Run(folder, seed, model, data, result, side, ranking.encode(model, params, side))


def load(
    folder: Path | str,
    seed: int | None = None,
    data_dir: Path | str | None = None,
    features: Path | str | None = None,
) -> Run:
    """Loads a finished run.

    Args:
        folder: of a run, or of one of its seeds.
        seed: the lowest finished one by default.
        data_dir: where the data lies now, when it was moved.
        features: where the file that was given with `--data.features` lies now, when it was moved.

    Raises:
        ValueError: there is no finished run, or its settings are damaged.
        DataError: its data are missing or have changed.
        CheckpointError: its parameters are missing, damaged or of another model.
    """
    release_programs()
    folder, seed = find_seed(Path(folder), seed)
    SeedRecord.read(folder / f"seed_{seed}" / "result.json")  # an unreadable result is reported before data are read
    model, settings, record = read_settings(folder)
    data = read_data(settings, record, folder, data_dir, features)
    with blamed_on(folder / "settings.json"):
        side = on_device(model.prepare(data))
    return _read(folder, seed, model, data, side)


def _explained(record: dict) -> ExplainedScore:
    return ExplainedScore(
        user=record["user"],
        item=record["item"],
        title=record["title"],
        score=record["score"],
        parts={part["name"]: part["value"] for part in record["parts"]},
        labels={part["name"]: part["label"] for part in record["parts"]},
        elements={group["name"]: [_element(e) for e in group["ranked"]] for group in record["elements"]},
        exact=record["exact"],
    )


def _element(element: dict) -> Element:
    known = ("id", "title", "steps", "is_user", "weight", "contribution")
    number = tuple(element["id"]) if isinstance(element["id"], list) else element["id"]
    columns = {name: value for name, value in element.items() if name not in known}
    return Element(number, element["title"], element["weight"], element["contribution"], columns)


def _listed(values) -> list:
    """One value or several -> a list."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    return list(values)


def _numbers(kind: str, values, names: np.ndarray | None, size: int, data: str, titles=None) -> np.ndarray:
    """Row numbers i32[N] of ids: those of the file where it has names (U[size]), else the row numbers themselves.

    kind: `user` or `item`; data: name of the data set. titles: U[size] or None; what is no id is looked up there.
    Raises ValueError for what is not there, with the range or examples of the ids that are, and for a title of several.
    """
    numbers = [_number(kind, str(value).strip(), names, size, data, titles) for value in _listed(values)]
    return np.array(numbers, np.int32)


def _number(kind: str, text: str, names: np.ndarray | None, size: int, data: str, titles: np.ndarray | None) -> int:
    if names is None and text.isdecimal() and int(text) < size:
        return int(text)
    rows = [] if names is None else np.flatnonzero(names == text)
    if not len(rows) and titles is not None and text:  # an item without a title has an empty one
        rows = np.flatnonzero(titles == text)
        if len(rows) > 1:
            examples = ", ".join(str(_typed(place, names)) for place in rows)
            raise ValueError(
                f"data set '{data}' has {len(rows)} {kind}s titled '{text}'; name one by its id: {examples}"
            )
    if len(rows):
        return int(rows[0])
    if names is None:
        raise ValueError(f"data set '{data}' has no {kind} '{text}'; its {kind}s are the numbers 0 to {size - 1}")
    examples = ", ".join(map(str, names[:EXAMPLES]))
    raise ValueError(f"data set '{data}' has no {kind} '{text}'; its {size} {kind}s are called {examples}, ...")


def _typed(number: int, names: np.ndarray | None) -> int | str:
    """The id under which `_numbers` finds that row."""
    return int(number) if names is None else str(names[number])
