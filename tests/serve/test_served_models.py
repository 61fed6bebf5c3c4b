"""Every model can be served: what it says it can be asked is answered, and the rest is refused in a sentence."""

from pathlib import Path

import jax
import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from socialjax.eval import ranking
from socialjax.models import MODELS
from socialjax.recommender import Run
from socialjax.serve import schemas
from socialjax.serve.answers import Answers, Refused
from socialjax.train.step import on_device

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def data():
    """Small data with everything that any model needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TESTS / "models"))
        import worlds

        return worlds.with_attributes(worlds.with_likes(worlds.with_frames(worlds.small(4, 4))))


@pytest.mark.parametrize("name", MODELS)
def test_what_a_model_can_be_asked_is_answered(data, name):
    model = MODELS[name]()
    model.check(data)
    side = on_device(model.prepare(data))
    run = Run(None, 0, model, data, None, side, ranking.encode(model, model.init(jax.random.key(0), side), side))
    answers = Answers(run)
    answers.warm_up()
    item = data.items.typed(int(np.argmax(np.diff(data.frames.offsets))))  # some have no frame
    user, can = data.users.typed(1), answers.served.can
    assert np.isfinite(answers.score(user, item).score) and answers.recommend(user, 2, True).items
    questions = {
        "new_users": lambda: answers.recommend_new([item], [], 2),
        "friends": lambda: answers.recommend_new([], [user], 2),
        "similar_items": lambda: answers.similar(item, 2),
        "explanations": lambda: answers.explain(user, [item], 3),
        "key_frames": lambda: answers.key_frames(user, item, 2),
        "pictures": lambda: answers.picture(item, None),
    }
    assert set(questions) == set(schemas.Abilities.model_fields)
    for ability, ask in questions.items():
        if getattr(can, ability) and (ability != "friends" or can.new_users):
            assert ask(), ability
        else:
            with pytest.raises(Refused) as refused:
                ask()
            assert refused.value.status in (409, 422) and type(model).__name__ in str(refused.value)
