"""A FAISS index answers as the run does, in a process without this library."""

import json
import subprocess
import sys

import numpy as np
import pytest

from socialjax.models import BPR, ContextMF
from socialjax.train.step import TrainSettings
from socialjax.worlds import planted
from socialjax.worlds.bars import train_only

pytest.importorskip("faiss")
TRAIN = TrainSettings(epochs=1, batch_size=1024, evaluate_every=1, patience=0)
USERS, K = 1000, 10
ELSEWHERE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("socialjax", "jax", "flax"):
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
import faiss, numpy as np
index = faiss.read_index(sys.argv[1])
queries = np.load(sys.argv[2])
score, item = index.search(queries, int(sys.argv[3]))
np.savez(sys.argv[4], score=score, item=item)
"""


@pytest.fixture(scope="module")
def run():
    data = planted.checkerboard(num_users=USERS, num_items=80, links=3)
    return train_only(BPR(dim=8, init_std=0.5), data, TRAIN, 0, "full")


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")
def test_the_top_ten_of_a_thousand_users_are_those_of_the_run(run, tmp_path):
    vectors = run.vectors()
    path = vectors.write_faiss(tmp_path / "out" / "items.faiss")
    assert sorted(each.name for each in path.parent.iterdir()) == ["items.faiss", "items.faiss.ids.json"]
    assert np.abs(vectors.bias).max() > 0.01, "a bias of 0 would not notice that it is left out"
    np.save(tmp_path / "queries.npy", vectors.queries)
    seen = np.bincount(run.data.train.user, minlength=USERS)
    asked = [path, tmp_path / "queries.npy", K + seen.max(), tmp_path / "found.npz"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", ELSEWHERE, *map(str, asked)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz") as found:
        item, score = found["item"], found["score"]
    ids = json.loads((tmp_path / "out" / "items.faiss.ids.json").read_text())
    taken = {*zip(run.data.train.user.tolist(), run.data.train.item.tolist())}
    expected = run.recommend(list(range(USERS)), k=K)
    swapped = 0
    for user in range(USERS):
        kept = [place for place, each in enumerate(item[user]) if (user, int(each)) not in taken][:K]
        scores = np.array([ranked.score for ranked in expected[user]])
        np.testing.assert_allclose(score[user][kept], scores, rtol=1e-4, atol=1e-5)
        named = [ids["items"][item[user][place]] for place in kept]
        differ = [place for place in range(K) if named[place] != expected[user][place].item]
        for place in differ:  # neighbours whose scores are tied in float32
            assert np.min(np.abs(np.delete(scores, place) - scores[place])) < 1e-5 or place == K - 1
        swapped += len(differ)
    assert swapped <= 0.002 * USERS * K


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")
def test_the_index_in_memory_is_that_of_the_file(run, tmp_path):
    import faiss

    vectors = run.vectors()
    index = vectors.faiss()
    assert (index.d, index.ntotal) == (9, 80) and index.metric_type == faiss.METRIC_INNER_PRODUCT
    np.testing.assert_array_equal(index.reconstruct_n(0, 80)[:, :8], vectors.items)
    np.testing.assert_array_equal(index.reconstruct_n(0, 80)[:, 8], vectors.bias)
    read = faiss.read_index(str(run.export(tmp_path / "items.faiss")))
    np.testing.assert_array_equal(read.reconstruct_n(0, 80), index.reconstruct_n(0, 80))


def test_without_the_package_it_is_said_how_to_get_it(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"needs the package faiss, .* pip install 'socialjax\[ann\]'"):
        run.export(tmp_path / "items.faiss")
    assert list(tmp_path.iterdir()) == []


def test_a_score_that_is_no_product_has_no_index(tmp_path):
    data = planted.checkerboard(num_users=12, num_items=10, links=2)
    run = train_only(ContextMF(dim=4), data, TRAIN, 0, "full")
    with pytest.raises(NotImplementedError, match="ContextMF has no embeddings of items"):
        run.export(tmp_path / "items.faiss")
