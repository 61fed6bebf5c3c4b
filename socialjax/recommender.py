"""A trained model, ready to be asked: what to recommend, to whom, how alike items are, and why."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from socialjax import new_items
from socialjax.contract import Explanation, Model, Params
from socialjax.data.schema import Dataset
from socialjax.eval import ranking
from socialjax.eval.metrics import Rows, rows_of
from socialjax.explain.liked_frames import describe_frame, liking_of
from socialjax.explain.record import ExplainedScore, explained, records
from socialjax.export.answers import SOON, Catalogue
from socialjax.export.archive import pack
from socialjax.export.files import Embeddings, write_recommendations
from socialjax.export.id_files import user_and_item_ids
from socialjax.export.programs import PLATFORMS, PROGRAMS, write_program
from socialjax.new_items import RankedUser
from socialjax.run.display import ResultTable
from socialjax.run.record import RESULT, RunRecord, SeedRecord
from socialjax.run.saved import (
    TemporaryFolder,
    find_seed,
    finished_seeds,
    read_parameters,
    read_settings,
)

FEW = 16  # users that are answered one by one, quickly, and not in blocks


@dataclasses.dataclass(frozen=True)
class Ranked:
    """An item as one types it (its id in the file, else its number), its title for reading, and a score."""

    item: int | str
    title: str
    score: float


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained model with its data. Users and items are named by the ids of their data set, items by titles too.

    Attributes:
        folder: that of the run; None for what was trained without one.
        seed: of the training.
        model: what was trained.
        data: on what.
        result: the seed's result.json.
        side: what the model's `prepare` made of the data.
        state: what its `encode` returned for the best parameters.
        holder: of a temporary folder, which goes with the last run that holds it.
    """

    folder: Path | None
    seed: int
    model: Model
    data: Dataset
    result: SeedRecord
    side: Any = dataclasses.field(repr=False)
    state: Any = dataclasses.field(repr=False)
    holder: TemporaryFolder | None = dataclasses.field(repr=False, default=None)

    @property
    def seeds(self) -> list[int]:
        """All seeds of the run that are finished."""
        return [self.seed] if self.folder is None else finished_seeds(self.folder)

    def of_seed(self, seed: int) -> "Run":
        """The same run with the parameters of another seed. Raises ValueError for one that is not finished."""
        find_seed(self._kept(), seed)
        return read(self.folder, seed, self.model, self.data, self.side, self.holder)

    def evaluate(self) -> ResultTable:
        """The figures of the test part over all seeds beside those of the baselines: prints as the table of the
        command, and `to_pandas()` gives a frame. Raises ValueError for a run whose seeds are not all finished."""
        return ResultTable(RunRecord.read(self._kept() / RESULT), self._kept())

    def _kept(self) -> Path:
        if self.folder is None:
            raise ValueError("this run was trained without a folder and was not evaluated; train it with `fit`")
        return self.folder

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

    def recommend_all(
        self,
        path: Path | str,
        k: int = 10,
        users=None,
        exclude_seen: bool = True,
        progress: bool = True,
        titles: bool = True,
    ) -> Path:
        """Writes the k best items of each user to a file: `.parquet`, `.csv`, `.tsv` or `.jsonl`.

        Args:
            path: the file; it is whole or absent. Rows are user, rank from 1 on, item, score and, where items
                have titles, title.
            k: how many items, fewer where not enough are left.
            users: ids; by default all.
            exclude_seen: leave out what the user took in training.
            progress: whether a bar shows how far it is, on a terminal.
            titles: whether the column of titles is written.

        Returns:
            The path.

        Raises:
            ValueError: another ending, an unknown user, or k larger than the catalogue.
        """
        size, seen = self.data.num_items, self._seen if exclude_seen else None
        rows = np.arange(self.data.num_users, dtype=np.int32) if users is None else self.user_numbers(users)
        self._check_k(k, size)
        best = lambda some: ranking.top_k(self.model, self.state, some, k, size, seen)  # noqa: E731
        write_recommendations(Path(path), self.data, rows, best, progress, titles)
        return Path(path)

    def save(self, path: Path | str) -> Path:
        """Writes the run into one file, a `.zip` that `socialjax.load` reads on another machine.

        It holds settings, results and parameters of all seeds, and the data: ids, titles, pairs, links, features.

        Raises:
            ValueError: another ending.
        """
        pack(self._kept(), self.data, Path(path))
        return Path(path)

    def export(
        self,
        path: Path | str,
        k: int | None = None,
        exclude_seen: bool = True,
        platforms: tuple[str, ...] = PLATFORMS,
    ) -> Path:
        """Writes the run for other programs, as the ending of the path says (docs/export.md).

        `.stablehlo` is a program that JAX alone runs, `.onnx` one for ONNX Runtime; both map row numbers of users to
        their best items and scores. `.faiss` is an index of items, `.zip` the whole run (`save`), and a path without
        an ending a folder of vectors in Parquet. The ids of row numbers lie beside, in `NAME.ids.json`.

        Args:
            path: each file is whole or absent.
            k: items in an answer of a program, of which a caller takes the first; by default 100, or all there are.
            exclude_seen: whether programs leave out what the user took in training.
            platforms: where a `.stablehlo` will run.

        Raises:
            ValueError: another ending, k outside the catalogue, or a program of 2 GiB or more.
            NotImplementedError: the model's score is no dot product, which all but `.stablehlo` and `.zip` need.
            ImportError: the package of an extra is missing.
        """
        path = Path(path)
        if path.suffix in PROGRAMS:
            seen = self._seen if exclude_seen else rows_of((), self.data.num_users, self.data.num_items)
            k = min(SOON, self.data.num_items) if k is None else k
            catalogue = Catalogue(seen.offsets, seen.items, *user_and_item_ids(self.data), k)
            write_program(path, self.model, self.state, catalogue, platforms)
        elif path.suffix == ".zip":
            self.save(path)
        elif path.suffix == ".faiss":
            self.vectors().write_faiss(path)
        elif not path.suffix:
            self.vectors().write(path)
        else:
            raise ValueError(
                f"{path} must end in {', '.join(PROGRAMS)}, .faiss or .zip, which says what is written, or have no "
                "ending, for a folder of vectors"
            )
        return path

    def vectors(self) -> Embeddings:
        """Embeddings of all users and items; a score is a dot product and the item's bias.

        Raises:
            NotImplementedError: the model's score is no dot product.
        """
        users, items, bias = self._embeddings("exported vectors")
        bias = np.broadcast_to(bias, len(items)).astype(np.float32)
        return Embeddings(users, items, bias, *user_and_item_ids(self.data))

    def score(self, users, items) -> np.ndarray:
        """Every user with every item: ids -> f32[N, M]."""
        rows, columns = self.user_numbers(users), self.item_numbers(items)
        table = np.broadcast_to(columns, (len(rows), len(columns)))
        return np.asarray(self.model.score(self.state, jnp.asarray(rows), jnp.asarray(table)))

    def score_items(self, users, features, groups=None) -> np.ndarray:
        """Users with items that were not there in training, by the features of these alone.

        In place of what training learns of a single item, its free embedding and its bias, stands 0: items are told
        apart by their features only, and lack the popularity that trained items have. `socialjax.new_items` says for
        each model what remains.

        Args:
            users: ids, or one: N of them.
            features: [M, F], made as those of the training were and as wide.
            groups: [M], product groups, of DeepStyle.

        Returns:
            f32[N, M].

        Raises:
            NotImplementedError: the model's scores do not depend on features of items.
            ValueError: unknown users, a model that was trained without features, or features that do not fit.
        """
        rows = self.user_numbers(users)
        vectors, bias = new_items.embed(self.model, self._params, self.data, features, groups)
        return np.asarray(self._embeddings("new items")[0])[rows] @ vectors.T + bias

    def recommend_item(self, features, k: int = 10, group: str = "") -> list[RankedUser]:
        """The k users whom one new item would suit best, by how far its score stands above those of all items.

        Args:
            features: [F] of the item, as for `score_items`.
            k: how many users.
            group: its product group, of DeepStyle.

        Raises:
            NotImplementedError, ValueError: as of `score_items`; k outside the number of users.
        """
        if not 1 <= k <= self.data.num_users:
            raise ValueError(f"k must be in 1..{self.data.num_users}, the number of users, got {k}")
        row, groups = np.asarray(features)[None], [group] if group else None
        vectors, bias = new_items.embed(self.model, self._params, self.data, row, groups)
        users, items, biases = self._embeddings("new items")
        scores = users @ vectors[0] + bias[0]
        standing = new_items.stand(users, items, np.broadcast_to(biases, len(items)), scores)
        return [
            RankedUser(self.data.users.typed(user), float(scores[user]), float(standing[user]))
            for user in np.argsort(-standing, kind="stable")[:k]
        ]

    @functools.cached_property
    def _params(self) -> Params:
        """The parameters that the state was made of."""
        return read_parameters(self.model, self.side, read_settings(self._kept())[2], self._kept(), self.seed)

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
        return [explained(record) for record in records(self.explanation(users, items), self.data, kept=None)]

    def explanation(self, users, items) -> Explanation:
        """The same as arrays over row numbers, as models give it: `explain.record.records` makes records of it."""
        rows, columns = self.user_numbers(users), self.item_numbers(items)
        if len(rows) != len(columns) and len(rows) != 1:
            raise ValueError(f"wanted one user, or as many users as items, got {len(rows)} users, {len(columns)} items")
        return self.model.explain(self.state, self.side, np.broadcast_to(rows, columns.shape), columns)

    def key_frames(self, user, item, k: int = 1) -> list[Ranked]:
        """The k frames of an item that the user likes best: their numbers in it, and the names of their pictures.

        Raises ValueError for unknown ids and an item without frames, NotImplementedError for a model that ranks none.
        """
        users, number, frames = self.user_numbers(user), self._one_item(item), self.data.frames
        if not self.model.traits.ranks_frames:
            raise NotImplementedError(f"{type(self.model).__name__} does not say which frame a user likes")
        rows = [] if frames is None else np.arange(*frames.offsets[number : number + 2])
        if not len(rows):
            raise ValueError(f"item '{self.data.describe_item(number)}' of data set '{self.data.name}' has no frames")
        scores = liking_of(self.model, self.state, self.side, users[0], rows)
        best = np.argsort(-scores, kind="stable")[:k]
        return [Ranked(int(place), describe_frame(frames, rows[place]), float(scores[place])) for place in best]

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
        return self.data.users.numbers(users)

    def item_numbers(self, items) -> np.ndarray:
        """Row numbers i32[N] of items as people type them: ids, or titles that one item alone has."""
        return self.data.items.numbers(items)

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
        return [
            Ranked(self.data.items.typed(i), self.data.describe_item(i), float(score))
            for i, score in zip(items, scores)
        ]


def read(folder: Path, seed: int, model: Model, data: Dataset, side: Any, holder: TemporaryFolder | None = None) -> Run:
    """The run of a seed that is finished, with its best parameters.

    Args:
        folder: of the run.
        seed: one that is finished.
        model: of the run.
        data: of the run.
        side: what `model.prepare` made of the data, on the device.
        holder: of a temporary folder, which lives as long as the run.
    """
    result, record = SeedRecord.read(folder / f"seed_{seed}" / RESULT), read_settings(folder)[2]
    params = jax.tree.map(jnp.asarray, read_parameters(model, side, record, folder, seed))
    return Run(folder, seed, model, data, result, side, ranking.encode(model, params, side), holder)
