"""Seeds that are trained at the same time end where they end alone, and share what is compiled."""

import dataclasses
import json
import os
import signal

import jax
import numpy as np
import pytest

from socialjax.eval import protocol, ranking
from socialjax.models import BPR, DiffNet, LightGCN
from socialjax.stop import Interrupted
from socialjax.train import log, loop, together
from socialjax.train.checkpoint import read_best
from socialjax.train.loop import Diverged, Job, train, train_seeds
from socialjax.train.programs import Programs
from socialjax.train.step import METRIC, TrainSettings, on_device

pytestmark = pytest.mark.usefixtures("compiled_as_for_users")  # what is promised here is bits
SETTINGS = TrainSettings(epochs=6, batch_size=128, evaluate_every=1, patience=0, save_seconds=0, quiet=True)
SEEDS = (3, 0, 7)
MODELS = {
    "bpr": (BPR(dim=4, dropout=0.2, init_std=0.1), {}),
    "bpr by rows": (BPR(dim=4, init_std=0.1), {"optimizer": "adagrad_rows"}),
    "diffnet": (DiffNet(dim=4, init_std=0.1), {}),
    "lightgcn, sampled": (LightGCN(dim=4, depth=2, init_std=0.1), {"optimizer": "adam_rows", "fanouts": (3, 2)}),
}


@pytest.fixture(scope="module")
def begin(world, pairs):
    """begin(folder, together, seeds, model, programs, **settings) -> Trained of each."""
    lists = protocol.candidates(world, protocol.parse("full", ks=(10,)), "validation")
    sides = {name: on_device(model.prepare(world)) for name, (model, _) in MODELS.items()}

    def start(folder, way="off", seeds=SEEDS, name="bpr", programs=None, validate=None, jobs=None, **changed):
        (model, more), side = MODELS[name], sides[name]
        settings = dataclasses.replace(SETTINGS, together=way, **more | changed)
        jobs = jobs or [Job(seed, folder / f"seed_{seed}", f"print {seed}") for seed in seeds]
        for job in jobs:
            job.folder.mkdir(parents=True, exist_ok=True)
        return train_seeds(
            *(model, side, pairs, settings, jobs),
            validate=validate or (lambda params: ranking.evaluate(model, params, side, lists).mean()),
            devices=jax.devices()[:1],
            programs=programs,
        )

    return start


@pytest.fixture(scope="module")
def alone(begin, tmp_path_factory):
    folders = {name: tmp_path_factory.mktemp("alone") for name in MODELS}
    return {name: (begin(folder, name=name), folder) for name, folder in folders.items()}


def lines_of(folder, seed):
    lines = [json.loads(line) for line in (folder / f"seed_{seed}" / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def assert_same_bits(one, other, seeds=SEEDS):
    (trained, folder), (again, there) = one, other
    for a, b, seed in zip(trained, again, seeds, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
        assert (a.epoch, a.validation) == (b.epoch, b.validation)
        assert lines_of(folder, seed) == lines_of(there, seed)
        (best, notes), (same, noted) = (read_best(at / f"seed_{seed}" / "checkpoints") for at in (folder, there))
        jax.tree.map(np.testing.assert_array_equal, best, same)
        assert notes["arrays"] == noted["arrays"] and notes["best_step"] == noted["best_step"]


def stop_at(monkeypatch, epochs):
    """SIGTERM when all seeds have ended so many epochs."""
    shown = log.TrainingLog.progress
    monkeypatch.setattr(loop, "CALL_SECONDS", 1e-9)
    ended = []

    def progress(self, step, loss):
        shown(self, step, loss)
        ended.append(step)
        if ended.count(step) == len(SEEDS) and step == epochs:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(log.TrainingLog, "progress", progress)


@pytest.mark.parametrize("name", MODELS)
def test_side_by_side_gives_the_bits_of_one_by_one(begin, alone, tmp_path, name):
    assert_same_bits(alone[name], (begin(tmp_path, "side_by_side", name=name), tmp_path))


@pytest.mark.parametrize("name", MODELS)
def test_one_program_for_all_gives_the_figures_of_one_by_one_to_1e_5(begin, alone, tmp_path, name):
    found, (trained, folder) = begin(tmp_path, "vmap", name=name), alone[name]
    for a, b, seed in zip(trained, found, SEEDS, strict=True):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5), a.params, b.params)
        assert a.epoch == b.epoch
        for line, other in zip(lines_of(folder, seed), lines_of(tmp_path, seed), strict=True):
            assert line["loss"] == pytest.approx(other["loss"], abs=1e-5)
            assert line["validation"] == pytest.approx(other["validation"], abs=1e-5)


def test_seeds_differ(alone):
    """Else the comparisons above would not see seeds that are mixed up."""
    ends = [jax.tree.leaves(trained.params)[0] for trained in alone["bpr"][0]]
    assert min(np.abs(a - b).max() for n, a in enumerate(ends) for b in ends[:n]) > 1e-2


@pytest.mark.parametrize("first, then", [("off", "side_by_side"), ("side_by_side", "off"), ("side_by_side",) * 2])
def test_what_was_begun_one_way_goes_on_the_other_way_to_the_same_bits(
    begin, alone, tmp_path, monkeypatch, first, then
):
    with monkeypatch.context() as patch:
        stop_at(patch, 9)
        if first == "off":
            begin(tmp_path, first, seeds=SEEDS[:1])  # this one has ended, the others have not begun
        else:
            with pytest.raises(Interrupted):
                begin(tmp_path, first)
            assert all(list((tmp_path / f"seed_{seed}" / "checkpoints").glob("9")) for seed in SEEDS)
    assert_same_bits(alone["bpr"], (begin(tmp_path, then), tmp_path))


def test_seeds_at_different_steps_go_on_together(begin, alone, tmp_path, monkeypatch):
    for seed, step in zip(SEEDS, (2, 11)):
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(together, "SHARE", 1.0)
            patch.setitem(globals(), "SEEDS", (seed,))
            stop_at(patch, step)
            begin(tmp_path, seeds=(seed,))
    with monkeypatch.context() as patch:
        patch.setattr(loop, "CALL_SECONDS", 1e-9)
        found = begin(tmp_path, "vmap")
    for a, b in zip(alone["bpr"][0], found, strict=True):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5), a.params, b.params)
        assert a.epoch == b.epoch


@pytest.mark.parametrize("way", ["side_by_side", "vmap"])
def test_each_seed_stops_by_its_own_patience_at_its_own_best_epoch(begin, tmp_path, way):
    """Values of the metric by call; the seeds are asked in order, those that have stopped no more."""
    asked, values = [], {3: [0.5, 0.4, 0.3], 0: [0.1, 0.2, 0.3, 0.2, 0.1], 7: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}
    order = [(seed, call) for call in range(6) for seed in SEEDS if call < len(values[seed])]

    def validate(params):
        seed, call = order[len(asked)]
        asked.append(jax.tree.map(np.array, params))
        return {METRIC: values[seed][call]}

    found = begin(tmp_path, way, validate=validate, patience=2, plateau=0)
    assert [trained.epoch for trained in found] == [1, 3, 6]
    for trained, seed, call in zip(found, SEEDS, (0, 2, 5)):
        kept = asked[order.index((seed, call))]
        jax.tree.map(np.testing.assert_array_equal, trained.params, kept)
        jax.tree.map(np.testing.assert_array_equal, read_best(tmp_path / f"seed_{seed}" / "checkpoints")[0], kept)
        assert len(lines_of(tmp_path, seed)) == len(values[seed])


def test_a_seed_that_diverges_leaves_the_others_saved(begin, tmp_path):
    start = lambda params: jax.tree.map(lambda leaf: leaf * np.float32(np.nan), params)  # noqa: E731
    jobs = [Job(0, tmp_path / "seed_0", "0"), Job(1, tmp_path / "seed_1", "1", start)]
    with pytest.raises(Diverged):
        begin(tmp_path, "side_by_side", jobs=jobs, save_seconds=1e6)
    assert any(path.name.isdigit() for path in (tmp_path / "seed_0" / "checkpoints").iterdir())
    assert not any(path.name.isdigit() for path in (tmp_path / "seed_1" / "checkpoints").iterdir())


COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.mark.parametrize("way", ["off", "side_by_side"])
def test_further_seeds_compile_nothing(begin, tmp_path, way):
    programs, compiled = Programs(), []
    begin(tmp_path / "first", way, seeds=(0, 1), programs=programs)
    listen = lambda name, seconds, **more: compiled.append(more) if name == COMPILED else None  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listen)
    begin(tmp_path / "then", way, seeds=(2, 5), programs=programs)
    assert not compiled
    begin(tmp_path / "other", way, seeds=(2, 5), programs=programs, batch_size=64)
    jax.monitoring.unregister_event_duration_listener(listen)
    assert compiled  # the counter does count, and other settings are not taken for the same


def test_all_seeds_of_one_program_compile_once(begin, tmp_path):
    programs = Programs()
    begin(tmp_path, "vmap", seeds=(0, 1, 2, 3), programs=programs)
    assert programs._last._stacked._run._cache_size() == 1


def test_a_group_is_as_large_as_memory_allows():
    state = {"params": np.zeros((1000, 64), np.float32), "moments": np.zeros((2000, 64), np.float32)}
    need = together.STATES * 3 * 256_000 + together.TABLES * 256_000
    for free, most in ((None, 1 << 30), (0, 1), (int(3.1 * need / together.SHARE), 3), (need, 1)):
        assert together.most_at_a_time(state, state["params"], free) == most
    assert [list(group) for group in together.groups(range(5), 3)] == [[0, 1], [2, 3, 4]]
    assert [list(group) for group in together.groups(range(5), 5)] == [[0, 1, 2, 3, 4]]
    assert 0 < together.free_bytes(jax.devices()[0]) < 1 << 50


def test_groups_that_memory_makes_change_no_bit(begin, alone, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "free_bytes", lambda device: 0)
    assert_same_bits(alone["bpr"], (begin(tmp_path, "side_by_side"), tmp_path))


def test_what_cannot_be_done_together_is_refused_in_a_sentence(world, pairs, tmp_path):
    with pytest.raises(ValueError, match=r"--train.together must be one of off, side_by_side, vmap, got 'pmap'"):
        TrainSettings(together="pmap")
    for more in ({"backend": "pmap"}, {"table_shards": 2}):
        with pytest.raises(ValueError, match=r"--train.together vmap trains seeds .* on one device: leave"):
            TrainSettings(together="vmap", **more)
    model = BPR(dim=4)
    settings = dataclasses.replace(SETTINGS, together="vmap")
    with pytest.raises(ValueError, match=r"on one device, and there are 2; choose off"):
        train(model, model.prepare(world), pairs, settings, 0, tmp_path, "print", devices=jax.devices()[:2])
