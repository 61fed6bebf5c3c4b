"""Questions and answers over HTTP as types: what is checked on the way in, and what the OpenAPI description says."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

MOST = 100  # items of one answer: `eval.ranking.SOON`, up to which no other k compiles
MOST_IDS = 1000  # items, or friends, of a new user
LONGEST = 500  # characters of an id, a title or a prefix
EXPLAINED = 20  # items whose scores are explained in one answer

Name = int | str  # an id as one types it: a number where the data set numbers its users or items
AskedName = Annotated[StrictStr, Field(max_length=LONGEST)] | StrictInt


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class RankedItem(_Answer):
    """An item with its score; of key frames, a frame: its number in the item and the name of its picture."""

    item: Name
    title: str
    score: float


class Recommended(_Answer):
    """The best items of a user, best first; fewer than asked for where not enough are left."""

    user: Name
    items: list[RankedItem]


class RankedItems(_Answer):
    """Items, best first."""

    items: list[RankedItem]


class KeyFrames(_Answer):
    """The frames of an item that a user likes best, best first: `item` is the number of the frame in the item."""

    user: Name
    item: Name
    frames: list[RankedItem]


class Score(_Answer):
    """The score of a pair; larger is better, and only scores of one user can be compared."""

    user: Name
    item: Name
    score: float


class Named(_Answer):
    """A user or an item: the id as one types it, and the title for reading (of a user, the id)."""

    id: Name
    title: str


class Found(_Answer):
    """Users or items whose id or title begins with what was typed, in alphabetical order."""

    found: list[Named]


class Profile(_Answer):
    """What the model was given of a user: training items, newest first where times are known, and friends.

    Friends are those whom the user follows and, for a model that counts links in both directions, the followers.
    """

    user: Name
    history: list[Named]
    friends: list[Named]
    history_count: int
    friends_count: int


class NewUser(BaseModel):
    """Somebody who was not trained: items taken, friends followed."""

    model_config = ConfigDict(extra="forbid")

    items: list[AskedName] = Field([], max_length=MOST_IDS, description="ids or titles; they are not recommended")
    friends: list[AskedName] = Field([], max_length=MOST_IDS, description="ids of users, for models that read links")
    k: StrictInt = Field(10, json_schema_extra={"minimum": 1, "maximum": MOST})


class Part(_Answer):
    """A share of a score."""

    name: str
    label: str
    value: float


class Element(_Answer):
    """A friend, an item, a frame, an attribute or a path of these, and what it adds to its part."""

    id: Name | list[Name]
    title: str
    weight: float
    contribution: float


class Rest(_Answer):
    """The elements that are not listed."""

    count: int
    contribution: float


class Elements(_Answer):
    """What a part is made of, strongest first. `kind` is user, item, frame, ...; `path` for several of these."""

    name: str
    part: str
    label: str
    kind: str
    count: int
    exact: bool
    ranked: list[Element]
    rest: Rest


class Explanation(_Answer):
    """Why a pair has its score: parts that add up to it, and what these are made of.

    `exact` is false where elements are estimates that do not add up to their part.
    """

    user: Name
    item: Name
    title: str
    score: float
    exact: bool
    parts: list[Part]
    elements: list[Elements]


class Explanations(_Answer):
    """One for each item that was asked for, in that order."""

    explanations: list[Explanation]


class Abilities(_Answer):
    """What this model can be asked. Other questions are answered with 409."""

    new_users: bool
    friends: bool
    similar_items: bool
    explanations: bool
    key_frames: bool
    pictures: bool


class Served(_Answer):
    """The run behind this server. `banner` states whether the data are real; `warning` is empty if they are."""

    model: str
    data_set: str
    data: str
    seed: int
    users: int
    items: int
    training_pairs: int
    banner: str
    warning: str
    can: Abilities
    version: str


class Health(_Answer):
    """The server is ready."""

    status: str = "ok"


class Problem(BaseModel):
    """What was wrong, in a sentence; `id` of an unexpected error is in the server's log."""

    error: str
    id: str | None = None
