"""A finished run read back: it ranks, explains, takes in new users, and says clearly what is wrong with a folder."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import socialjax
from socialjax.data.schema import UnknownId
from socialjax.formats.file_bytes import DataError
from socialjax.models.social.diffnet import DiffNet
from socialjax.train.checkpoint import CheckpointError

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture(scope="module")
def opened(finished_runs, run_home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
        patch.delenv("SOCIALJAX_DATA", raising=False)
        return {name: socialjax.load(folder) for name, folder in finished_runs.items()}


@pytest.fixture
def copy(finished_runs, tmp_path):
    """A copy of the run of DiffNet, to be damaged."""
    return shutil.copytree(finished_runs["diffnet"], tmp_path / "copy")


def all_scores(run):
    users, items, bias = (np.asarray(array) for array in run.model.vectors(run.state))
    return users @ items.T + bias


def test_a_run_opens_with_its_settings_data_and_lowest_seed(opened, finished_runs):
    run = opened["diffnet"]
    assert run.model == DiffNet(dim=4, layers="all", init_std=0.5)
    assert (run.seed, run.data.name, run.data.num_users) == (1, "cafes", 24)
    assert run.result.to_json() == json.loads((finished_runs["diffnet"] / "seed_1" / "result.json").read_text())


def test_a_seed_is_chosen_by_number_or_by_folder(opened, finished_runs):
    folder = finished_runs["diffnet"]
    by_number, by_folder = socialjax.load(folder, seed=4), socialjax.load(folder / "seed_4")
    assert by_number.seed == by_folder.seed == 4
    np.testing.assert_array_equal(all_scores(by_number), all_scores(by_folder))
    assert np.abs(all_scores(by_number) - all_scores(opened["diffnet"])).max() > 1e-4
    with pytest.raises(ValueError, match="no finished seed 0; those it has: 1, 4"):
        socialjax.load(folder, seed=0)
    with pytest.raises(ValueError, match="holds seed 4, not 1"):
        socialjax.load(folder / "seed_4", seed=1)


@pytest.mark.parametrize("name", ["diffnet", "bpr"])
def test_recommendations_are_the_best_unseen_items_with_their_ids_and_titles(opened, name):
    run = opened[name]
    scores, data = all_scores(run), run.data
    for user in (0, 7):
        seen = data.train.item[data.train.user == user]
        scores[user, seen] = -np.inf
        order = np.argsort(-scores[user], kind="stable")[:4]
        typed = user if data.user_names is None else str(data.user_names[user])
        (got,) = run.recommend(typed, k=4)
        assert [ranked.title for ranked in got] == [data.describe_item(i) for i in order]
        assert list(run.item_numbers([ranked.item for ranked in got])) == list(order)
        np.testing.assert_allclose([ranked.score for ranked in got], scores[user, order], atol=1e-5)
    (every,) = run.recommend(typed, k=data.num_items)  # all that was not taken in training, held-out items with it
    unseen = np.setdiff1d(np.arange(data.num_items), seen)
    np.testing.assert_array_equal(np.sort(run.item_numbers([ranked.item for ranked in every])), unseen)
    held = [np.isin(part.item[part.user == user], unseen) for part in (data.validation, data.test)]
    assert sum(map(len, held)) > 0 and all(map(np.all, held))
    everything = run.recommend([typed, typed], k=data.num_items, exclude_seen=False)
    assert [len(row) for row in everything] == [data.num_items] * 2
    assert len(run.recommend(typed, k=data.num_items)[0]) == data.num_items - len(seen)


def test_scores_are_a_table_of_users_and_items(opened):
    run = opened["diffnet"]
    users, items = run.user_numbers(["guest3", "guest0"]), run.item_numbers(["cafe-1", "cafe-2", "cafe-9"])
    got = run.score(["guest3", "guest0"], ["cafe-1", "cafe-2", "cafe-9"])
    np.testing.assert_allclose(got, all_scores(run)[np.ix_(users, items)], atol=1e-5)


def test_similar_items_have_the_largest_cosine(opened):
    run = opened["bpr"]
    vectors = np.asarray(run.state.items, np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = [int(i) for i in np.argsort(-(unit @ unit[3])) if i != 3]
    got = run.similar_items(3, k=15)
    assert [ranked.item for ranked in got] == expected
    np.testing.assert_allclose([r.score for r in got], (unit @ unit[3])[expected], atol=1e-5)
    with pytest.raises(ValueError, match=r"k must be in 1\.\.15"):
        run.similar_items(3, k=16)


def test_explanations_add_up_to_the_score(opened):
    run, items = opened["diffnet"], ["cafe-1", "cafe-2"]
    explained = run.explain("guest3", items)
    for why, item, score in zip(explained, items, run.score("guest3", items)[0], strict=True):
        assert (why.user, why.item) == ("guest3", item) and why.exact
        assert list(why.parts) == ["own_vector", "friends_1", "friends_2", "history", "item_bias"]
        np.testing.assert_allclose([sum(why.parts.values()), why.score], [score, score], atol=1e-5)
    with pytest.raises(ValueError, match="got 2 users, 3 items"):
        opened["bpr"].explain([0, 1], [0, 1, 2])


def test_explanations_speak_of_people_and_things_by_their_own_ids_and_titles(opened):
    run = opened["diffnet"]
    (why,) = run.explain(["guest3"], "cafe-1")
    assert why.title == run.data.describe_item(run.item_numbers("cafe-1")[0])
    arrays = run.explanation("guest3", "cafe-1")
    assert list(why.elements) == list(arrays.elements) and why.labels["friends_1"] == "friends at distance 1"
    for name, called in (("history", run.data.item_names), ("friends_1", run.data.user_names)):
        rows, found = arrays.elements[name], why.elements[name]
        assert {e.id for e in found} == {str(called[number]) for number in rows.ids} and len(found) == len(rows.ids)
        sizes = [abs(e.contribution) for e in found]
        assert sizes == sorted(sizes, reverse=True) and sizes
        assert sum(e.contribution for e in found) == pytest.approx(why.parts[name], abs=1e-5)
    printed = [line.split() for line in str(why).splitlines()]
    assert printed[0][0] == "guest3," and printed[-1] == ["score", f"{why.score:+.4f}"]
    assert [line[-1] for line in printed[1:-1]] == [f"{value:+.4f}" for value in why.parts.values()]
    assert "\x1b" not in str(dataclasses.replace(why, title="\x1b[2J"))
    titles = {e.id: e.title for e in why.elements["history"]}
    assert titles == {name: run.data.describe_item(run.item_numbers(name)[0]) for name in titles}


def test_a_new_user_is_ranked_like_the_user_with_the_same_items_and_friends_without_the_own_vector(opened):
    run = opened["diffnet"]
    data = run.data
    for user in run.user_numbers(["guest0", "guest5", "guest23"]):  # guest23 has no links
        items = np.unique(data.train.item[data.train.user == user])
        links = data.links
        friends = np.union1d(links.followee[links.follower == user], links.follower[links.followee == user])
        got = run.recommend_new(data.item_names[items], data.user_names[friends], k=5)
        why = run.explanation(data.user_names[user], data.item_names)
        expected = why.score - why.parts["own_vector"]
        expected[items] = -np.inf
        best = np.argsort(-expected, kind="stable")[:5]
        assert list(run.item_numbers([ranked.item for ranked in got])) == list(best)
        np.testing.assert_allclose([ranked.score for ranked in got], expected[best], atol=1e-5)


def test_new_users_need_no_items_and_a_model_without_friends_says_so(opened):
    run = opened["bpr"]
    bias = np.asarray(run.state.item_bias)
    assert [r.item for r in run.recommend_new(k=3)] == list(np.argsort(-bias, kind="stable")[:3])
    assert 2 not in [r.item for r in run.recommend_new(items=[2, 4], k=16)]
    with pytest.raises(ValueError, match="BPR does not use friends"):
        run.recommend_new(items=[2], friends=[1])


def test_unknown_users_and_items_are_answered_with_those_that_exist(opened):
    with pytest.raises(ValueError, match="no user 'bob'; its 24 users are called guest0, guest1, guest2"):
        opened["diffnet"].recommend("bob")
    with pytest.raises(ValueError, match="no item '3'; its 16 items are called cafe-0, "):
        opened["diffnet"].score("guest1", 3)
    with pytest.raises(UnknownId, match="no item '\0'"):  # an item has no title
        opened["diffnet"].similar_items("\0")
    for user in ("24", -1, "x", 1.5, ""):
        with pytest.raises(ValueError, match="its users are the numbers 0 to 23"):
            opened["bpr"].recommend(user)


def test_items_may_be_named_by_titles_that_one_item_alone_has(opened):
    for run in (opened["diffnet"], opened["bpr"]):  # ids that are words, ids that are numbers
        titled = [run.data.item_titles[number] for number in (3, 0)]
        assert list(run.item_numbers(titled)) == [3, 0]
        with pytest.raises(ValueError, match="no item 'Title'"):
            run.item_numbers("Title")
        twice = np.where(np.arange(run.data.num_items) < 2, "Twice", run.data.item_titles)
        again = dataclasses.replace(run, data=dataclasses.replace(run.data, item_titles=twice))
        ids = ", ".join(str(r.item) for r in again._ranked([0, 1], [0.0, 0.0]))
        with pytest.raises(ValueError, match=f"2 items titled 'Twice'; name one by its id: {ids}$"):
            again.item_numbers("Twice")
    ids = np.array(opened["diffnet"].data.item_names)
    ids_as_titles = dataclasses.replace(opened["diffnet"].data, item_titles=ids[::-1])
    run = dataclasses.replace(opened["diffnet"], data=ids_as_titles)
    assert list(run.item_numbers(ids[2])) == [2]  # an id is an id first


def test_more_items_than_the_catalogue_has_are_refused(opened):
    for ask in (lambda k: opened["bpr"].recommend(0, k=k), lambda k: opened["bpr"].recommend_new([1], k=k)):
        for k in (0, 17):
            with pytest.raises(ValueError, match=rf"k must be in 1\.\.16, the size of the catalogue, got {k}"):
                ask(k)


def test_a_stand_in_opens_as_one(opened):
    assert opened["stand-in"].data.provenance.kind == "stand-in"


def test_folders_that_are_no_runs_are_refused(tmp_path, copy):
    with pytest.raises(ValueError, match=r"is no folder of a run: it has no settings\.json"):
        socialjax.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="runs inside it: copy"):
        socialjax.load(tmp_path)
    for seed in (1, 4):
        (copy / f"seed_{seed}" / "result.json").unlink()
    with pytest.raises(ValueError, match="has not finished; start its command again"):
        socialjax.load(copy)


@pytest.mark.parametrize("text", ["{", "", "\x00\x01", "[1]"])
def test_a_damaged_result_is_named(copy, text):
    path = copy / "seed_1" / "result.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"seed_1/result\.json"):
        socialjax.load(copy)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda record: record.clear(), "is not the settings file of a run"),
        (lambda record: record["settings"].update(model=3), "is not the settings file of a run"),
        (lambda record: record["settings"]["model"].update(name="oracle"), "model 'oracle', which is none of bpr, "),
        (lambda record: record["settings"]["model"].update(colour=1), "DiffNet has no settings colour"),
        (lambda record: record["settings"]["data"].update(colour=1), "DataSettings has no settings colour"),
    ],
)
def test_damaged_settings_are_named(copy, change, message):
    record = json.loads((copy / "settings.json").read_text())
    change(record)
    (copy / "settings.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=message):
        socialjax.load(copy)


def test_missing_damaged_and_foreign_checkpoints_are_refused(copy, finished_runs):
    place = copy / "seed_1" / "checkpoints"
    shutil.rmtree(place)
    with pytest.raises(CheckpointError, match="there are no parameters to read"):
        socialjax.load(copy)
    place.mkdir()
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        socialjax.load(copy)
    place.rmdir()
    shutil.copytree(finished_runs["bpr"] / "seed_0" / "checkpoints", place)
    with pytest.raises(CheckpointError, match="belongs to another run"):
        socialjax.load(copy)


def test_data_that_moved_is_found_again_and_data_that_changed_is_refused(copy, run_home, tmp_path):
    record = json.loads((copy / "settings.json").read_text())
    record["settings"]["data"]["dir"] = str(tmp_path / "gone")
    (copy / "settings.json").write_text(json.dumps(record))
    shutil.rmtree(copy / "data_copy")
    with pytest.raises(DataError, match=r"gone.*--data.dir DIR says where it is now"):
        socialjax.load(copy)
    moved = shutil.copytree(run_home / "cafes", tmp_path / "moved")
    assert socialjax.load(copy, data_dir=moved).data.num_users == 24
    with (moved / "cafes.rating").open("a") as file:
        file.write("guest1\tcafe-2\t1\n")
    with pytest.raises(DataError, match=r"not what .* was trained on \(files cafes.rating differ\)"):
        socialjax.load(copy, data_dir=moved)


def test_a_run_on_real_data_is_never_read_with_the_stand_in(finished_runs, tmp_path):
    """And the other way round."""
    folder = shutil.copytree(finished_runs["stand-in"], tmp_path / "run")
    record = json.loads((folder / "settings.json").read_text())
    record["data"]["kind"] = "real"
    (folder / "settings.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="cannot be read: the files of filmtrust were not found"):
        socialjax.load(folder)
