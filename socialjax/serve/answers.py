"""Answers of a run as types, and what is refused with a sentence of the library."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from socialjax import __version__
from socialjax.contract import Model
from socialjax.data.schema import UnknownId
from socialjax.explain.record import records
from socialjax.explain.text import stand_in
from socialjax.names import visible
from socialjax.recommender import Ranked, Run
from socialjax.serve import schemas
from socialjax.serve.pictures import NoPicture, Pictures
from socialjax.serve.profiles import Profiles
from socialjax.serve.search import Prefixes

SHOWN = 8  # elements of a part in an explanation, unless told
FRAME_COUNTS = 32


class Refused(Exception):
    """A question that cannot be answered. `status` is that of HTTP; the message says why."""

    def __init__(self, status: int, sentence: object):
        super().__init__(visible(sentence))
        self.status = status


class Answers:
    """What is asked of a run over HTTP. Calls may come from several threads.

    Only what a client can get wrong becomes `Refused`: 404 for an unknown id, 409 for what the model cannot do, 422 for
    the rest. Any other error is the server's.
    """

    def __init__(self, run: Run, pictures: Pictures | None = None):
        self.run = run
        self.pictures = Pictures(run) if pictures is None else pictures
        self._profiles = Profiles(run.data, run.model)
        data = run.data
        self._users = Prefixes(data.num_users, data.user_names)
        self._items = Prefixes(data.num_items, data.item_names, data.item_titles)
        self.served = _served(run, self.pictures)

    def warm_up(self) -> None:
        """Asks each question once, so that clients wait for no compilation."""
        run, can = self.run, self.served.can
        user, item = run.data.users.typed(0), run.data.items.typed(0)
        for seen in (True, False):
            self.recommend(user, min(10, run.data.num_items), seen)
        self.score(user, item)
        if can.explanations:
            self.explain(user, [item], SHOWN)
        if can.similar_items and run.data.num_items > 1:
            self.similar(item, 1)
        if can.new_users:
            self.recommend_new([item], [user] if can.friends else [], 1)
        if can.key_frames:  # a program for each number of frames, of which items have many: the commonest
            sizes, first, often = np.unique(np.diff(run.data.frames.offsets), return_index=True, return_counts=True)
            for each in np.argsort(-often * (sizes > 0))[:FRAME_COUNTS]:
                if sizes[each]:
                    self.key_frames(user, run.data.items.typed(first[each]), 1)

    def recommend(self, user: str, k: int, exclude_seen: bool) -> schemas.Recommended:
        """`Run.recommend` of one user."""
        number = self._user(user)
        self._check(k, self.run.recommend, user, k)
        (ranked,) = self.run.recommend(user, k, exclude_seen)
        return schemas.Recommended(user=self.run.data.users.typed(number), items=_items(ranked))

    def recommend_new(self, items: Sequence, friends: Sequence, k: int) -> schemas.RankedItems:
        """`Run.recommend_new`."""
        for asked in items:
            self._item(asked)
        for asked in friends:
            self._user(asked)
        new = self.run.recommend_new
        if friends and not self.served.can.friends:
            refused(new, items, friends)
        self._able(self.served.can.new_users, new)
        self._check(k, new, [], [], k)
        return schemas.RankedItems(items=_items(new(items, friends, k)))

    def similar(self, item: str, k: int) -> schemas.RankedItems:
        """`Run.similar_items`."""
        self._item(item)
        self._able(self.served.can.similar_items, self.run.similar_items, item, 1)
        self._check(k, self.run.similar_items, item, k, largest=self.run.data.num_items - 1)
        return schemas.RankedItems(items=_items(self.run.similar_items(item, k)))

    def score(self, user: str, item: str) -> schemas.Score:
        """`Run.score` of one pair."""
        pair = self._user(user), self._item(item)
        ids = self.run.data.users.typed(pair[0]), self.run.data.items.typed(pair[1])
        return schemas.Score(user=ids[0], item=ids[1], score=float(self.run.score(user, item)[0, 0]))

    def explain(self, user: str, items: Sequence, shown: int) -> schemas.Explanations:
        """`Run.explain` of a user and several items, with so many elements of each part."""
        self._user(user)
        for asked in items:
            self._item(asked)
        self._able(self.served.can.explanations, self.run.explanation, user, items)
        why = records(self.run.explanation(user, items), self.run.data, kept=shown)
        return schemas.Explanations(explanations=[schemas.Explanation.model_validate(record) for record in why])

    def key_frames(self, user: str, item: str, k: int) -> schemas.KeyFrames:
        """`Run.key_frames`."""
        pair, frames = (self._user(user), self._item(item)), self.run.data.frames
        self._able(self.served.can.key_frames, self.run.key_frames, user, item)
        if frames.offsets[pair[1]] == frames.offsets[pair[1] + 1]:
            refused(self.run.key_frames, user, item)
        if not 1 <= k <= schemas.MOST:
            raise Refused(422, f"k must be in 1..{schemas.MOST}, got {k}")
        best = _items(self.run.key_frames(user, item, k))
        ids = self.run.data.users.typed(pair[0]), self.run.data.items.typed(pair[1])
        return schemas.KeyFrames(user=ids[0], item=ids[1], frames=best)

    def profile(self, user: str) -> schemas.Profile:
        """What the model was given of a user, as many of each as a new user may have."""
        number, most = self._user(user), schemas.MOST_IDS
        history, friends = self._profiles.history(number), self._profiles.friends(number)
        return schemas.Profile(
            user=self.run.data.users.typed(number),
            history=self._named_items(history[:most]),
            friends=self._named_users(friends[:most]),
            history_count=len(history),
            friends_count=len(friends),
        )

    def find_users(self, prefix: str, most: int) -> schemas.Found:
        """Users whose id begins like that."""
        return schemas.Found(found=self._named_users(self._users.find(prefix, most)))

    def find_items(self, prefix: str, most: int) -> schemas.Found:
        """Items whose id or title begins like that."""
        return schemas.Found(found=self._named_items(self._items.find(prefix, most)))

    def picture(self, item: str, frame: int | None, or_none: bool = False) -> bytes | None:
        """JPEG of an item, or of one of its frames; without one None, if that is asked for."""
        number = self._item(item)
        try:
            if frame is None:
                return self.pictures.item(number, str(item))
            return self.pictures.frame(number, frame, str(item))
        except NoPicture as problem:
            if or_none:
                return None
            raise Refused(404, problem) from None

    def _user(self, asked) -> int:
        return int(refused(self.run.user_numbers, [asked])[0])

    def _item(self, asked) -> int:
        return int(refused(self.run.item_numbers, [asked])[0])

    def _check(self, k: int, ask: Callable, *arguments, largest: int | None = None) -> None:
        """Refuses a k that is not in 1..largest, by default the size of the catalogue, or too large for a server."""
        largest = self.run.data.num_items if largest is None else largest
        if not 1 <= k <= largest:
            refused(ask, *arguments)
        if k > schemas.MOST:
            raise Refused(422, f"k must be in 1..{schemas.MOST}, got {k}; `recommend_all` writes more into a file")

    def _able(self, is_able: bool, ask: Callable, *arguments) -> None:
        if not is_able:
            refused(ask, *arguments)

    def _named_items(self, rows: list[int]) -> list[schemas.Named]:
        data = self.run.data
        return [schemas.Named(id=_text(data.items.typed(row)), title=_text(data.describe_item(row))) for row in rows]

    def _named_users(self, rows: list[int]) -> list[schemas.Named]:
        data = self.run.data
        return [schemas.Named(id=_text(data.users.typed(row)), title=_text(data.describe_user(row))) for row in rows]


def refused(ask: Callable, *arguments) -> Any:
    """The value of a call, or Refused with the sentence of its error."""
    try:
        return ask(*arguments)
    except UnknownId as problem:
        raise Refused(404, problem) from None
    except NotImplementedError as problem:
        raise Refused(409, problem) from None
    except ValueError as problem:
        raise Refused(422, problem) from None


def _items(ranked: Sequence[Ranked]) -> list[schemas.RankedItem]:
    return [schemas.RankedItem(item=_text(each.item), title=_text(each.title), score=each.score) for each in ranked]


def _text(value: int | str) -> int | str:
    """Halves of characters, which files from elsewhere may hold, cannot be sent: they are escaped."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _served(run: Run, pictures: Pictures) -> schemas.Served:
    data, model = run.data, run.model
    warning = stand_in({"data": data.provenance.kind, "data_set": data.name})
    return schemas.Served(
        model=type(model).__name__,
        data_set=visible(data.name),
        data=data.provenance.kind,
        seed=run.seed,
        users=data.num_users,
        items=data.num_items,
        training_pairs=len(data.train),
        banner=warning or f"Real data: {visible(data.name)}",
        warning=warning,
        can=schemas.Abilities(
            new_users=model.traits.new_users and model.vectors(run.state) is not None,
            friends="links" in model.traits.needs + model.traits.uses,
            similar_items=model.vectors(run.state) is not None,
            explanations=type(model).explain is not Model.explain,
            key_frames=model.traits.ranks_frames and data.frames is not None,
            pictures=pictures.are_there,
        ),
        version=__version__,
    )
