"""Losses and optimisers that are given as functions: named by what they do, and used."""

import dataclasses
import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import socialjax
from socialjax.models import BPR, LightGCN
from socialjax.ops.losses import LOSSES
from socialjax.run.own_code import digest_of, named_loss, named_optimizer
from socialjax.train.step import OPTIMIZERS, TrainSettings
from socialjax.worlds import planted

MARGIN = 1.0


def hinge(positive, negatives, margin=1.0):
    return jnp.mean(jax.nn.relu(margin + negatives - positive[:, None]), axis=1)


def of_a_module(positive, negatives):
    return hinge(positive, negatives, MARGIN)


def test_a_digest_is_of_the_code_and_all_that_it_holds(monkeypatch):
    def held(margin):
        return lambda positive, negatives: hinge(positive, negatives, margin)

    same = [digest_of(held(1.0)), digest_of(held(1.0))]
    others = [digest_of(held(2.0)), digest_of(hinge), digest_of(functools.partial(hinge, margin=2.0))]
    before = digest_of(of_a_module)
    monkeypatch.setitem(globals(), "MARGIN", 3.0)
    assert len(set(same)) == 1
    assert len({same[0], *others, before, digest_of(of_a_module)}) == 6


def decayed(steps):
    return optax.adamw(optax.cosine_decay_schedule(1e-3, steps))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: optax.adam(1e-3), lambda: optax.adam(2e-3)),
        (
            lambda: optax.adamw(optax.cosine_decay_schedule(1e-3, 100)),
            lambda: optax.adamw(optax.cosine_decay_schedule(1e-3, 101)),
        ),
        (lambda: optax.chain(optax.clip(1.0), optax.sgd(0.1)), lambda: optax.chain(optax.sgd(0.1), optax.clip(1.0))),
        (lambda: optax.lamb(1e-3), lambda: optax.adam(1e-3)),
        (lambda: optax.adam(1e-3, b1=0.9), lambda: optax.adam(1e-3, b1=0.8)),
    ],
)
def test_optimisers_are_told_apart_by_their_constants_order_and_kind(one, other):
    assert named_optimizer(one()) == named_optimizer(one()) != named_optimizer(other())


def test_names_that_are_registered_stay_and_other_things_are_refused():
    assert named_loss("softmax") == "softmax" and named_optimizer("sgd") == "sgd"
    for naming in (named_loss, named_optimizer):
        with pytest.raises(ValueError, match="there are"):
            naming("nobody")
        with pytest.raises(ValueError, match=r"wanted .* got int"):
            naming(3)


def test_a_loss_that_is_bpr_trains_as_bpr():
    data = planted.checkerboard()

    def mine(positive, negatives):
        return jnp.mean(jax.nn.softplus(negatives - positive[:, None]), axis=1)

    quick = {"epochs": 4, "progress": False}
    one = socialjax.fit("bpr", data, **quick)
    own = socialjax.fit("bpr", data, loss=mine, **quick)
    other = socialjax.fit("bpr", data, loss=hinge, **quick)
    assert own.model.objective.startswith("mine_") and own.model.objective in LOSSES
    np.testing.assert_array_equal(own.score(data.users.typed(0), range(5)), one.score(data.users.typed(0), range(5)))
    assert np.abs(other.score(0, range(5)) - one.score(0, range(5))).max() > 1e-4


def test_an_optimiser_that_is_adam_trains_as_adam_and_a_schedule_otherwise():
    data = planted.checkerboard()
    quick = {"epochs": 4, "progress": False}
    scores = lambda **given: socialjax.fit(BPR(), data, **quick, **given).score(0, range(5))  # noqa: E731
    usual = scores()
    np.testing.assert_array_equal(scores(optimizer=optax.adam(5e-3)), usual)
    np.testing.assert_array_equal(scores(optimizer=lambda rate: optax.adam(rate)), usual)
    np.testing.assert_array_equal(scores(optimizer="adam"), usual)
    decayed = scores(optimizer=optax.adam(optax.cosine_decay_schedule(5e-3, 3)))
    assert np.abs(decayed - usual).max() > 1e-4


def test_the_same_call_goes_on_and_another_function_is_another_setting(tmp_path):
    data = planted.checkerboard()
    fit = functools.partial(socialjax.fit, BPR(), data, epochs=2, folder=tmp_path / "run", progress=False)
    first = fit(loss=hinge, optimizer=optax.adam(1e-3))
    assert fit(loss=hinge, optimizer=optax.adam(1e-3)).result == first.result
    with pytest.raises(ValueError, match=r"other settings \(model.objective: hinge_\w+ there, hinge_\w+ now"):
        fit(loss=functools.partial(hinge, margin=0.5), optimizer=optax.adam(1e-3))
    with pytest.raises(ValueError, match=r"other settings \(train.optimizer: optax_\w+ there, optax_\w+ now"):
        fit(loss=hinge, optimizer=optax.adam(2e-3))
    for registry, name in ((LOSSES, first.model.objective), (OPTIMIZERS, named_optimizer(optax.adam(1e-3)))):
        del registry[name]  # a program that never saw them
    loaded = socialjax.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.score(0, range(5)), first.score(0, range(5)))
    with pytest.raises(ValueError, match=r"is a function that was given to socialjax.fit"):
        socialjax.fit(first.model, data, epochs=2, progress=False)
    with pytest.raises(ValueError, match=r"optimiser 'optax_12345678' is a function that was given to socialjax.fit"):
        socialjax.fit(BPR(), data, TrainSettings(optimizer="optax_12345678"), epochs=2, progress=False)


def test_a_function_without_a_name_and_a_model_with_a_loss_of_its_own(monkeypatch):
    data = planted.checkerboard()
    run = socialjax.fit(LightGCN(dim=4), data, loss=lambda p, n: jnp.mean(n, 1) - p, epochs=1, progress=False)
    assert run.model.objective.startswith("lambda_")
    assert run.recommend(0, k=3)


def test_a_class_stands_for_its_usual_settings_and_other_things_are_refused():
    data = planted.checkerboard()
    assert socialjax.fit(BPR, data, epochs=1, progress=False).model == BPR()
    with pytest.raises(ValueError, match=r"wanted a model such as BPR\(dim=32\), or the name of one, got dict"):
        socialjax.fit({"dim": 3}, data)


def test_a_class_that_is_registered_nowhere_gets_a_name():
    @dataclasses.dataclass(frozen=True)
    class HalfBPR(BPR):
        """BPR with half the width."""

        dim: int = 32

    try:
        run = socialjax.fit(HalfBPR(), planted.checkerboard(), epochs=1)
        assert socialjax.load(run.folder).model == HalfBPR()
        assert socialjax.MODELS["half_bpr"] is HalfBPR
    finally:
        del socialjax.MODELS["half_bpr"]


def test_a_class_that_is_defined_again_as_in_a_notebook_takes_its_name():
    def defined(width):
        @dataclasses.dataclass(frozen=True)
        class Again(BPR):
            """BPR of another width."""

            dim: int = width

        return Again

    data = planted.checkerboard()
    try:
        for width in (3, 5):
            run = socialjax.fit(defined(width)(), data, epochs=1, progress=False)
            assert socialjax.MODELS["again"]().dim == socialjax.load(run.folder).model.dim == width
    finally:
        del socialjax.MODELS["again"]


def test_digests_are_the_same_in_every_process():
    """A notebook has no file and hashes of texts differ from process to process."""
    code = (
        "import dataclasses, optax\n"
        "from socialjax.models import BPR\n"
        "from socialjax.run.held_code import digest_of\n"
        "from socialjax.run.model_code import code_digest\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Mine(BPR):\n"
        "    scale: float = 2.0\n"
        "    def encode(self, params, side):\n"
        "        return super().encode(params, side).replace(item_bias=self.scale * params['item_bias'])\n"
        "print(code_digest(Mine), digest_of(optax.adamw(1e-3)), digest_of(lambda lists: {'a', 'b', 'c'} and 3.0))\n"
    )
    changed = code.replace("self.scale *", "self.scale +")
    said = [
        subprocess.run(
            [sys.executable, "-c", text], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
        ).stdout.split()
        for text, seed in ((code, "1"), (code, "2"), (changed, "3"))
    ]
    assert len(said[0]) == 3 and said[0] == said[1]
    assert said[2][0] != said[0][0] and said[2][1:] == said[0][1:]
