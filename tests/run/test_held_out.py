"""What a run, a search and a table of models look at: they train on train, choose on validation, report test.

Each is done twice for real, the second time on data with other test pairs: training, epoch and validation are the same.
"""

import dataclasses
import json

import jax
import numpy as np
import pytest
from tiny import TINY

from experiments import jifr_video
from socialjax.data.schema import interactions, no_interactions
from socialjax.data.sources import DataSettings
from socialjax.eval import ranking
from socialjax.models.cf.bpr import BPR
from socialjax.models.social.diffnet import DiffNet
from socialjax.run import display, execute, workbench
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.run.study import baselines
from socialjax.run.study.settings import Arguments, Setting, Study
from socialjax.run.tuning import halving
from socialjax.run.tuning.search import Search
from socialjax.run.tuning.trials import Ledger
from socialjax.run.workbench import Workbench
from socialjax.train.checkpoint import read_best
from socialjax.train.step import METRIC, TrainSettings
from socialjax.worlds import frames, planted

pytestmark = pytest.mark.usefixtures("places")
PROTOCOLS = ["full", "sampled55-strict"]
TRAIN = TrainSettings(**{**TINY, "epochs": 3})


@pytest.fixture(scope="module", autouse=True)
def without_pictures():
    """A run's curves are drawn for longer than these runs train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(display, "draw_curves", lambda path, *_: path.touch())
        yield


@pytest.fixture(scope="module")
def data():
    """24 users, 120 items, links; six pairs of each user are held out for each part."""
    return planted.checkerboard(num_users=24, num_items=120, links=3)


@pytest.fixture(scope="module")
def other(data):
    return with_other_test(data)


def with_other_test(data):
    """The same with as many other test pairs of each user, of no part."""
    taken = np.zeros((data.num_users, data.num_items), bool)
    for part in data.parts().values():
        taken[part.user, part.item] = True
    rng = np.random.default_rng(9)
    users, count = np.unique(data.test.user, return_counts=True)
    items = [rng.choice(np.flatnonzero(~taken[user]), size, replace=False) for user, size in zip(users, count)]
    return dataclasses.replace(data, test=interactions(np.repeat(users, count), np.concatenate(items)))


class Watch:
    """The parts that are evaluated while and after something trains, and what each training was given."""

    def __init__(self):
        self.training, self.during, self.after, self.given = False, set(), set(), []
        self.positives: list[set] = []  # of each evaluation while something trains: the pairs that are to be found

    def at(self, monkeypatch, module):
        """Stands around the real evaluation, and around the real training of this module."""
        evaluate = ranking.evaluate_state

        def evaluated(model, state, candidates):
            (self.during if self.training else self.after).add(candidates.part)
            if self.training:
                users = candidates.users[candidates.positives.owners()]
                self.positives.append(set(zip(users.tolist(), candidates.positives.items.tolist())))
            return evaluate(model, state, candidates)

        def watched(train):
            def trained(model, side, resident, *rest, **more):
                self.given.append((model, side, resident, more.get("floor")))
                self.training = True
                try:
                    return train(model, side, resident, *rest, **more)
                finally:
                    self.training = False

            return trained

        monkeypatch.setattr(ranking, "evaluate_state", evaluated)
        name = "train_seeds" if hasattr(module, "train_seeds") else "train"
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
        return self

    def assert_trained_on(self, data):
        """Every training had the pairs of train, each as often as there, and what its model makes of them.

        It was judged by the pairs of validation.
        """
        validation = set(zip(data.validation.user.tolist(), data.validation.item.tolist()))
        assert self.positives and all(found == validation for found in self.positives)
        assert self.during == {"validation"}
        bare = dataclasses.replace(data, validation=no_interactions(), test=no_interactions())
        assert self.given
        for model, side, pairs, _ in self.given:
            np.testing.assert_array_equal(pairs.users, data.train.user)
            np.testing.assert_array_equal(pairs.items, data.train.item)
            jax.tree.map(np.testing.assert_array_equal, side, model.prepare(bare))


@pytest.fixture
def watch(monkeypatch):
    return Watch().at(monkeypatch, workbench)


def lines(folder):
    """metrics.jsonl but for the times."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


def ran(data, workdir, protocol="full", model=BPR(dim=4, init_std=0.5), start=None):  # noqa: B008
    """The record of one seed of a real run."""
    experiment = Experiment(
        model=model,
        train=TRAIN,
        eval=EvalSettings(protocol="full", also=(), validation_protocol=protocol, ks=(5, 10)),
        seeds=(0,),
        workdir=workdir,
        start_from=start,
    )
    execute.run(Definition("held_out", "for tests", experiment), experiment, data)
    return json.loads((workdir / "seed_0" / "result.json").read_text())


def assert_same_training(one, two):
    """Folders of one seed: the same course, parameters, epoch, validation; tested on other pairs."""
    assert lines(one) == lines(two) and lines(one)
    jax.tree.map(np.testing.assert_array_equal, *(read_best(folder / "checkpoints")[0] for folder in (one, two)))
    ours, theirs = (json.loads((folder / "result.json").read_text()) for folder in (one, two))
    for name in ("epoch", "validation", "popularity_validation"):
        assert ours[name] == theirs[name], name
    assert ours["metrics"] != theirs["metrics"]


def test_a_run_trains_on_train_chooses_on_validation_and_reports_test(data, watch, tmp_path):
    record = ran(data, tmp_path / "run", model=DiffNet(dim=4, init_std=0.5))
    watch.assert_trained_on(data)
    assert "test" in watch.after
    chosen = {"part": "validation", "protocol": "full", "rejected": ["validation"], "metric": METRIC}
    assert record["chosen_on"] == chosen
    assert watch.given[0][3] == record["popularity_validation"] > 0, "the plateau from which patience starts"
    course = {line["epoch"]: line["validation"][METRIC] for line in lines(tmp_path / "run" / "seed_0")}
    assert len(course) == TRAIN.epochs and record["validation"][METRIC] == max(course.values())
    assert course[record["epoch"]] == record["validation"][METRIC]


@pytest.fixture(scope="module")
def twice(data, other, tmp_path_factory):
    """{protocol: folders of two runs whose data differ in their test pairs}."""
    home = tmp_path_factory.mktemp("twice")
    for protocol in PROTOCOLS:
        for name, each in (("ours", data), ("theirs", other)):
            ran(each, home / protocol / name, protocol)
    return {protocol: (home / protocol / "ours", home / protocol / "theirs") for protocol in PROTOCOLS}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_test_pairs_change_nothing_of_training_epoch_and_validation(twice, protocol):
    assert_same_training(*(folder / "seed_0" for folder in twice[protocol]))


def test_nor_do_they_of_a_training_that_starts_from_another(data, other, twice, tmp_path):
    for name, each, start in zip(("ours", "theirs"), (data, other), twice["full"]):
        ran(each, tmp_path / name, start=start)
    assert_same_training(*(tmp_path / name / "seed_0" for name in ("ours", "theirs")))
    assert lines(tmp_path / "ours" / "seed_0") != lines(twice["full"][0] / "seed_0")


def test_a_search_is_the_same_with_other_test_pairs_and_looks_at_validation_alone(data, other, watch, tmp_path):
    search = Search(BPR(dim=4), trials=1, rungs=(1,), protocol="sampled55-strict", evaluate_every=1, quiet=True)
    found = []
    for name, each in (("ours", data), ("theirs", other)):
        rungs, trained = halving.halving(search, each, Ledger(tmp_path / name))
        found.append([[{**record, "seconds": 0} for record in rung] for rung in rungs])
        assert trained == 1
    assert found[0] == found[1] and found[0][0][0][METRIC] > 0
    watch.assert_trained_on(data)
    assert watch.after <= {"validation"}


def test_a_table_of_models_is_trained_the_same_with_other_test_pairs(data, other, watch, tmp_path):
    of = EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10, 15))
    study = Study("held_out", "for tests", DataSettings(), {"bpr": Setting({"dim": 4}, TRAIN)}, eval=of)
    for name, each in (("ours", data), ("theirs", other)):
        arguments = Arguments(study.data, seeds=(0,), workdir=tmp_path / name)
        assert baselines.compare_on(study, arguments, each)[1] == []
    assert_same_training(*(tmp_path / name / "bpr" / "seed_0" for name in ("ours", "theirs")))
    watch.assert_trained_on(data)


def test_frames_of_films_are_learned_on_train_and_chosen_on_validation(watch, tmp_path, monkeypatch):
    """What JIFR is given of frames is held by the contract of models; here it is what the experiment gives it."""
    world = frames.frames_world(0, users=24, items=40, frames=3, features=6, styles=2).data
    monkeypatch.setattr(jifr_video, "MODELS", {"BPR": BPR(dim=4)})
    training = dataclasses.replace(TRAIN, epochs=1)
    found = []
    for name, each in (("ours", world), ("theirs", dataclasses.replace(with_other_test(world), frame_likes=None))):
        _, _, state = jifr_video.fit("BPR", jifr_video.Arguments(train=training), Workbench(each), tmp_path / name)
        found.append(state)
    jax.tree.map(np.testing.assert_array_equal, *found)
    assert watch.after <= {"validation"}
    watch.assert_trained_on(world)
