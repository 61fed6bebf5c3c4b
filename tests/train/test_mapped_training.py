"""Training on mapped graphs is training in memory: the same draws, the same steps, the same parameters."""

import dataclasses
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mapped_folder import drawing, folder_of

from socialjax.models import BPR, MODELS, DiffNet, LightGCN, SocialLightGCN, SVDpp
from socialjax.ops import sample
from socialjax.ops.forest import sampled
from socialjax.ops.mapped import MappedNeighbours, without_edges
from socialjax.stop import Interrupted
from socialjax.train import mapped, rows
from socialjax.train.checkpoint import CheckpointError
from socialjax.train.host_batches import Ahead, ShuffledPairs
from socialjax.train.loop import Diverged
from socialjax.train.mapped import MappedTraining
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_batch, make_optimizer, new_state, on_device, resident

pytestmark = pytest.mark.usefixtures("compiled_as_for_users")
SIZE = 32
MODELS_HERE = {
    "bpr": BPR(dim=4, negatives=3, dropout=0.2, init_std=0.1),
    "svdpp": SVDpp(dim=4, negatives=2, init_std=0.1),
    "svdpp tied, mean": SVDpp(dim=4, tied=True, exponent=1.0, exclude_target=False, init_std=0.1),
    "lightgcn": LightGCN(dim=4, depth=2, negatives=2, init_std=0.1, node_dropout=0.1),
    "social_lightgcn": SocialLightGCN(dim=4, depth=2, social_weight=0.7, init_std=0.1),
    "social_lightgcn one way": SocialLightGCN(dim=4, depth=1, symmetric=False, init_std=0.1),
    "diffnet": DiffNet(dim=4, depth=2, negatives=3, init_std=0.1, exclude_target=True),
    "diffnet paper": DiffNet(dim=4, depth=2, variant="paper", layer_l2=0.01, init_std=0.1),
}
GRAPHS = [name for name in MODELS_HERE if name != "bpr"]


@pytest.fixture(scope="module")
def graph(world, tmp_path_factory):
    return folder_of(world, tmp_path_factory.mktemp("mapped") / "graph")


def in_memory(graph, model, fanouts):
    """The data set, the side, and the side to be sampled."""
    data = graph.dataset()
    side = model.prepare(data)
    return data, side, sampled(side, fanouts) if not isinstance(model, BPR) else side


def trained(graph, model, folder, steps, fanouts=(3, 2), seed=3, size=SIZE, fingerprint="print", **settings):
    side, draws = drawing(graph, model, fanouts, size, seed)
    chosen = MappedTraining(steps=steps, batch_size=size, fanouts=fanouts, quiet=True, **settings)
    per_epoch = -(-graph.num_pairs // size)
    return mapped.train(model, side, draws, per_epoch, chosen, seed, folder, fingerprint)[0]


def equal(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


@pytest.mark.parametrize("name", MODELS_HERE)
def test_what_the_host_draws_is_what_the_device_draws(graph, name):
    model = MODELS_HERE[name]
    data, _, drawn = in_memory(graph, model, (3, 2))
    _, draws = drawing(graph, model, (3, 2))
    pairs, drawn = on_device(resident(data)), on_device(drawn)
    per_epoch = -(-graph.num_pairs // SIZE)
    for step in (0, 5, per_epoch - 1, 2 * per_epoch + 1):
        rng = sample.fold(3, step)
        numbers = jnp.arange(SIZE, dtype=jnp.uint32)
        batch = make_batch(pairs, jnp.uint32(3), jnp.int32(step), numbers, SIZE, model.negatives)
        device, host = jax.jit(model.touched)(drawn, batch, rng), draws(step)
        equal(host.rows, device.rows)
        equal(host.batch, device.batch)
        whole = {(data.num_users,), (data.num_items,)}  # degrees, of which a host's side has no arrays
        leaves = [[x for x in jax.tree.leaves(one.side) if x.shape not in whole] for one in (host, device)]
        equal(*leaves)
        assert len(leaves[0]) >= 1 or name == "bpr"


@pytest.mark.parametrize(
    "name, optimizer",
    [*((name, "adagrad_rows") for name in MODELS_HERE), ("diffnet", "adam_rows"), ("lightgcn", "sgd")],
)
def test_trained_from_files_is_trained_in_memory(graph, tmp_path, name, optimizer):
    """To rounding: draws are the same bits, but a program of many steps and one of one step may add in other orders."""
    model, steps = MODELS_HERE[name], 2 * (-(-graph.num_pairs // SIZE)) + 3
    found = trained(graph, model, tmp_path, steps, optimizer=optimizer)
    data, side, drawn = in_memory(graph, model, (3, 2))
    rule = make_optimizer(optimizer, 0.05)
    runner = make_runner("jit", model, rule, drawn, resident(data), SIZE, devices=jax.devices()[:1])
    expected = runner.run(runner.place(new_state(model, side, rule, 3, drawn=drawn)), steps)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)  # noqa: E731
    jax.tree.map(close, found.params, expected.params)
    assert int(found.step) == steps


@pytest.mark.parametrize("name", GRAPHS)
def test_fanouts_above_every_degree_give_the_gradient_of_the_whole_graph(graph, name):
    model = dataclasses.replace(MODELS_HERE[name], **({"node_dropout": 0.0} if "lightgcn" in name else {}))
    data = graph.dataset()
    ends = data.train.user, data.train.item, np.concatenate([data.links.follower, data.links.followee])
    most = max(np.bincount(end).max() for end in ends)
    side, rng = model.prepare(data), jnp.uint32(7)
    params = new_state(model, side, make_optimizer("adam", 0.1), 1).params
    touched = drawing(graph, model, (int(most),) * 2)[1](4)
    numbers = jnp.arange(SIZE, dtype=jnp.uint32)
    batch = make_batch(on_device(resident(data)), jnp.uint32(3), jnp.int32(4), numbers, SIZE, model.negatives)
    loss = lambda params, side, batch: model.loss(params, side, batch, rng)[0][0]  # noqa: E731
    whole = jax.jit(jax.value_and_grad(loss))(params, side, batch)
    value, gradients = jax.value_and_grad(loss)(rows.taken(params, touched.rows), touched.side, touched.batch)
    tables = {
        path: jnp.zeros_like(rows.at(params, path)).at[numbers].add(rows.at(gradients, path), mode="drop")
        for path, numbers in touched.rows.items()
    }
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=5e-6)  # noqa: E731
    jax.tree.map(close, (value, rows.placed(gradients, tables)), whole)


def test_a_training_that_was_stopped_goes_on_to_the_bit(graph, tmp_path):
    model = MODELS_HERE["lightgcn"]
    unbroken = trained(graph, model, tmp_path / "a", 23)
    for steps in (4, 11, 23):
        found = trained(graph, model, tmp_path / "b", steps, save_every=3)
    equal(found, unbroken)


def test_a_training_that_dies_in_a_step_goes_on_from_its_last_checkpoint(graph, tmp_path):
    """What the thread raises comes out, and the steps since the checkpoint are done again alike."""
    model = MODELS_HERE["svdpp"]
    unbroken = trained(graph, model, tmp_path / "a", 12)
    side, draws = drawing(graph, model, (3, 2))

    def failing(step):
        if step == 8:
            raise OSError("the disk is gone")
        return draws(step)

    settings = MappedTraining(steps=12, batch_size=SIZE, fanouts=(3, 2), save_every=5, quiet=True)
    with pytest.raises(OSError, match="the disk is gone"):
        mapped.train(model, side, failing, 99, settings, 3, tmp_path / "b", "print")
    assert threading.active_count() < 20 and not [t for t in threading.enumerate() if t.name.startswith("draws")]
    per_epoch = -(-graph.num_pairs // SIZE)
    found = mapped.train(model, side, draws, per_epoch, settings, 3, tmp_path / "b", "print")
    assert found[1]["steps"] == 7  # 12 without the 5 that were saved
    equal(found[0].params, unbroken.params)


def test_a_signal_ends_it_saved(graph, tmp_path, monkeypatch):
    asked = iter([0] * 9 + [15] * 99)
    monkeypatch.setattr(mapped.stop, "asked", lambda: next(asked))
    with pytest.raises(Interrupted):
        trained(graph, MODELS_HERE["bpr"], tmp_path, 50)
    monkeypatch.undo()
    assert {path.name for path in tmp_path.iterdir() if path.name.isdigit()} <= {str(n) for n in range(4, 10)}
    equal(trained(graph, MODELS_HERE["bpr"], tmp_path, 12), trained(graph, MODELS_HERE["bpr"], tmp_path / "c", 12))


def test_it_learns_the_checkerboard(graph, tmp_path):
    model = dataclasses.replace(MODELS_HERE["lightgcn"], l2=0.0)
    state = trained(graph, model, tmp_path, 10 * (-(-graph.num_pairs // SIZE)), learning_rate=0.1)
    assert float(state.sums["loss"] / state.sums["weight"]) < 0.2 < np.log(2)


def test_a_loss_that_is_not_finite_is_reported(graph, tmp_path):
    model = dataclasses.replace(MODELS_HERE["bpr"], init_std=1e20, l2=1.0, objective="squared")
    with pytest.raises(Diverged, match=r"look at --train\.learning-rate"):
        trained(graph, model, tmp_path, 3, optimizer="sgd")


def test_other_settings_and_fewer_steps_are_refused(graph, tmp_path):
    model = MODELS_HERE["bpr"]
    trained(graph, model, tmp_path, 5)
    with pytest.raises(CheckpointError, match="other settings"):
        trained(graph, model, tmp_path, 5, fingerprint="another")
    with pytest.raises(ValueError, match="holds 5 steps, more than the 3 wanted"):
        trained(graph, model, tmp_path, 3)


@pytest.mark.parametrize("name", ["gcmc", "pinsage", "lr_gccf", "diffnet_pp", "trust_svd", "social_mf", "hasc"])
def test_models_that_need_the_whole_are_refused(graph, tmp_path, name):
    with pytest.raises(ValueError, match=r"choose bpr, svdpp, lightgcn, social_lightgcn or diffnet|needs "):
        trained(graph, MODELS[name](), tmp_path, 3)


@pytest.mark.parametrize(
    "model, word",
    [
        (LightGCN(dim=4, depth=3), "needs a number for each layer"),
        (SocialLightGCN(dim=4, contrast=0.1), "contrast"),
        (DiffNet(dim=4, pooling="max"), "the maximum over some friends"),
    ],
)
def test_what_cannot_be_sampled_is_refused(graph, tmp_path, model, word):
    with pytest.raises(ValueError, match=word):
        trained(graph, model, tmp_path, 3)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"steps": 0}, {"save_every": 0}, {"learning_rate": 0.0}, {"fanouts": (3, 0)}, {"ahead": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"--train.{next(iter(wrong)).replace('_', '-')} must be"):
        MappedTraining(**wrong)


def test_no_pairs_and_too_many_are_refused():
    for size in (0, 2**31):
        column = np.broadcast_to(np.int32(0), (size,))
        with pytest.raises(ValueError, match="2\\^31 - 1 training pairs"):
            ShuffledPairs(column, column, 8, 0)


def test_values_come_in_order_are_made_ahead_and_end(graph):
    made, release = [], threading.Event()

    def make(step):
        made.append(step)
        return 10 * step

    with Ahead(make, 4, depth=3) as ahead:
        assert [next(ahead) for _ in range(3)] == [40, 50, 60]
        release.wait(0.2)
        assert made == [4, 5, 6, 7, 8, 9][: len(made)] and len(made) >= 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("draws")]


def test_fresh_parameters_need_no_edges_and_programs_hold_none(graph):
    model = MODELS_HERE["diffnet"]
    side, _ = drawing(graph, model, (3, 2))
    assert isinstance(side.social, MappedNeighbours) and not jax.tree.leaves(side)
    fresh = jax.jit(model.init)(jax.random.key(1), without_edges(side))
    equal(fresh, jax.jit(model.init)(jax.random.key(1), model.prepare(graph.dataset())))
