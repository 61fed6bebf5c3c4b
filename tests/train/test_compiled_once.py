"""After the first epoch and its validation nothing is compiled again, by JAX's own counters."""

import jax
import pytest

from socialjax.eval import protocol, ranking
from socialjax.models import BPR, DiffNet, LightGCN
from socialjax.train.loop import train
from socialjax.train.step import TrainSettings, on_device

COMPILED = "/jax/core/compile/backend_compile_duration"
CASES = {
    "bpr, adam": (BPR(dim=4, dropout=0.2), {}),
    "bpr by rows": (BPR(dim=4), {"optimizer": "adagrad_rows"}),
    "diffnet": (DiffNet(dim=4), {}),
    "lightgcn, sampled": (LightGCN(dim=4, depth=2), {"optimizer": "adam_rows", "fanouts": (3, 2)}),
}


@pytest.fixture
def compiled():
    """Names of what is compiled while the test runs."""
    found = []
    listen = lambda name, seconds, **more: found.append(more.get("fun_name", "")) if name == COMPILED else None  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_compiled_after_the_first_validation(world, pairs, tmp_path, compiled, name):
    model, more = CASES[name]
    side = on_device(model.prepare(world))
    candidates = protocol.candidates(world, protocol.parse("full", ks=(10,)), "test")
    validated = []

    def validate(params):
        validated.append(len(compiled))
        return ranking.evaluate(model, params, side, candidates).mean()

    settings = TrainSettings(epochs=6, batch_size=64, evaluate_every=1, patience=0, save_seconds=0, quiet=True, **more)
    train(model, side, pairs, settings, 0, tmp_path, "print", validate=validate, devices=jax.devices()[:1])
    assert len(validated) == 6 and validated[0] > 0  # the counter does count
    assert len(compiled) == validated[1], compiled[validated[1] :]
