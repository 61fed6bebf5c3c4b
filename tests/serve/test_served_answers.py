"""Every endpoint answers what the run answers in Python."""

import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from socialjax.eval import ranking
from socialjax.explain.liked_frames import faces

ALL = ("cafes", "plain", "club", "frames")


def as_json(ranked):
    return [dataclasses.asdict(each) for each in ranked]


def some(client):
    """Some users and items, as one types them."""
    data = client.run.data
    return [data.users.typed(u) for u in (0, 3, 5)], [data.items.typed(i) for i in (0, 3, 7, 2)]


@pytest.mark.parametrize("name", ALL)
def test_recommendations_are_those_of_the_run_to_the_last_digit(clients, name):
    client = clients[name]
    for user in some(client)[0]:
        for k, seen in ((1, True), (4, True), (10, False)):
            status, got = client.get("api/recommend", user=user, k=k, exclude_seen=seen)
            assert (status, got) == (200, {"user": user, "items": as_json(client.run.recommend(user, k, seen)[0])})
    assert client.get("api/recommend", user=user)[1]["items"] == as_json(client.run.recommend(user)[0])


@pytest.mark.parametrize("name", ("cafes", "plain", "club"))
def test_somebody_new_is_recommended_what_the_run_recommends(clients, name):
    client = clients[name]
    users, items = some(client)
    friends = [] if name == "plain" else users
    for body in ({"items": items, "friends": friends, "k": 3}, {"items": items[:1]}, {"friends": friends}, {}):
        status, got = client.post("api/recommend_new", body)
        expected = client.run.recommend_new(**body)
        assert status == 200 and got == {"items": as_json(expected)} and expected
    as_text = client.post("api/recommend_new", {"items": list(map(str, items))})
    assert as_text == client.post("api/recommend_new", {"items": items})


@pytest.mark.parametrize("name", ("cafes", "plain", "club"))
def test_similar_items_are_those_of_the_run(clients, name):
    client = clients[name]
    for item in some(client)[1]:
        assert client.get("api/similar", item=item, k=5)[1] == {"items": as_json(client.run.similar_items(item, 5))}


@pytest.mark.parametrize("name", ALL)
def test_scores_are_those_of_the_run(clients, name):
    client = clients[name]
    (user, *_), (item, *_) = some(client)
    status, got = client.get("api/score", user=user, item=item)
    assert (status, got["user"], got["item"]) == (200, user, item)
    assert np.float32(got["score"]) == client.run.score(user, item)[0, 0]


@pytest.mark.parametrize("name", ALL)
def test_explanations_are_those_of_the_run_and_what_is_not_listed_is_added_up(clients, name):
    client = clients[name]
    (user, *_), items = some(client)
    for shown in (100, 2):
        status, got = client.get("api/explain", user=user, item=items, shown=shown)
        assert status == 200 and len(got["explanations"]) == len(items)
        for one, why in zip(got["explanations"], client.run.explain(user, items)):
            assert (one["user"], one["item"], one["title"], one["exact"]) == (why.user, why.item, why.title, why.exact)
            assert one["score"] == why.score
            assert {part["name"]: part["value"] for part in one["parts"]} == why.parts
            assert {part["name"]: part["label"] for part in one["parts"]} == why.labels
            assert [group["name"] for group in one["elements"]] == list(why.elements)
            for group in one["elements"]:
                every = why.elements[group["name"]]
                assert group["count"] == len(every)
                listed = [(e["id"], e["title"], e["weight"], e["contribution"]) for e in group["ranked"]]
                assert listed == [(e.id, e.title, e.weight, e.contribution) for e in every[:shown]]
                rest = [e.contribution for e in every[shown:]]
                assert group["rest"]["count"] == len(rest)
                assert group["rest"]["contribution"] == pytest.approx(sum(rest), abs=1e-5)
    assert sum(part["value"] for part in one["parts"]) == pytest.approx(one["score"], abs=1e-5)


def test_key_frames_are_those_of_the_run(clients):
    client = clients["frames"]
    users, items = some(client)
    for item in items:
        status, got = client.get("api/key_frames", user=users[1], item=item, k=3)
        assert status == 200 and got["frames"] == as_json(client.run.key_frames(users[1], item, 3))
        assert sorted(frame["item"] for frame in got["frames"]) == [0, 1, 2]


def test_a_profile_is_what_the_model_was_given(clients):
    for name in ALL:
        client, data = clients[name], clients[name].run.data
        for number in (0, 5, data.num_users - 1):
            user = data.users.typed(number)
            status, got = client.get("api/profile", user=user)
            items = data.train.item[data.train.user == number]
            assert status == 200 and got["user"] == user and got["history_count"] == len(set(items.tolist()))
            titles = {data.items.typed(i): data.describe_item(i) for i in items}
            assert {each["id"]: each["title"] for each in got["history"]} == titles
            friends = set()
            if data.links is not None:  # DiffNet counts links in both directions, JIFR reads none
                both = name != "frames"
                friends = set(data.links.followee[data.links.follower == number].tolist())
                friends |= set(data.links.follower[data.links.followee == number].tolist()) if both else set()
            assert {each["id"] for each in got["friends"]} == {data.users.typed(friend) for friend in friends}


def test_the_newest_of_a_history_comes_first_where_times_are_known(club_runs):
    from socialjax.serve.profiles import Profiles

    data = club_runs["diffnet"].data
    time = np.random.default_rng(0).permutation(len(data.train)).astype(np.int64)
    timed = dataclasses.replace(data, train=dataclasses.replace(data.train, time=time))
    mine = np.flatnonzero(data.train.user == 3)
    expected = data.train.item[mine[np.argsort(-time[mine])]].tolist()
    assert Profiles(timed, club_runs["diffnet"].model).history(3) == expected
    assert Profiles(data, club_runs["diffnet"].model).history(3) == data.train.item[mine].tolist()


def test_users_and_items_are_found_by_their_beginning(clients):
    club, plain = clients["club"], clients["plain"]
    ids = lambda found: [each["id"] for each in found[1]["found"]]  # noqa: E731
    assert ids(club.get("api/users", prefix="cLeO")) == ["Cleo 1", "Cleo 2", "Cleo 3", "Cleo 4"]
    assert ids(club.get("api/items", prefix="night city no. 1")) == ["p00", "p36"]  # no. 1 and no. 10
    assert ids(club.get("api/items", prefix="p0", most=3)) == ["p00", "p01", "p02"]
    assert ids(plain.get("api/users", prefix="1")) == [1, *range(10, 20)]
    assert ids(plain.get("api/users", prefix="2", most=2)) == [2, 20]
    assert ids(plain.get("api/users", prefix="x")) == ids(plain.get("api/users", prefix="01")) == []
    assert len(ids(plain.get("api/users"))) == 20 and len(ids(club.get("api/items", most=100))) == 40


def test_pictures_are_small_files_of_the_items_and_of_their_frames(clients, club):
    client, (data, folder) = clients["club"], club
    for item, frame, name in (("p07", {}, data.item_pictures[7]), ("p07", {"frame": 1}, "item-7-1.png")):
        query = "&".join([f"item={item}", *(f"{key}={value}" for key, value in frame.items())])
        status, headers, body = client.raw("GET", f"/api/picture?{query}")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        with Image.open(io.BytesIO(body)) as got, Image.open(folder / name) as there:
            difference = np.asarray(got, float) - np.asarray(there.convert("RGB"), float)
        assert got.size == there.size and np.abs(difference).mean() < 8, "a JPEG of that picture"


def test_frames_without_a_file_are_patches_of_their_colour(club_runs):
    import asking

    run = club_runs["jifr"]
    with asking.serving(run, warm=False) as client:
        body = client.raw("GET", "/api/picture?item=p07&frame=2")[2]
        with Image.open(io.BytesIO(body)) as got:
            colour = np.asarray(got, float).mean(axis=(0, 1)) / 255
        np.testing.assert_allclose(colour, faces(run.data.frames)(7 * 3 + 2)[0, 0], atol=0.03)


def test_the_run_says_what_it_can_be_asked(clients):
    can = {name: clients[name].get("api/run")[1]["can"] for name in ALL}
    names = list(can["club"])
    assert can["club"] == dict.fromkeys(names, True) | {"key_frames": False}
    assert can["plain"] == {name: name not in ("key_frames", "pictures", "friends") for name in names}
    assert can["frames"] == {name: name in ("key_frames", "pictures", "explanations") for name in names}
    about = clients["club"].get("api/run")[1]
    assert about["banner"] == "PLANTED: photo-club was generated; this says nothing about real users and items"
    assert about["warning"] == about["banner"]
    assert (about["model"], about["users"], about["items"]) == ("DiffNet", 48, 40)
    assert clients["cafes"].get("api/run")[1]["banner"] == "Real data: cafes"


def test_no_question_compiles_after_the_start(clients):
    client = clients["club"]
    before = ranking._best._cache_size()
    for user in ("Ada 1", "Kim 4"):
        for k in (1, 7, 33, 40):
            assert client.get("api/recommend", user=user, k=k)[0] == 200
            assert client.get("api/recommend", user=user, k=k, exclude_seen=False)[0] == 200
    assert ranking._best._cache_size() == before


def test_metrics_count_by_endpoint_and_status(clients):
    client = clients["cafes"]

    def count(text, line):
        return next((float(each.split()[1]) for each in text.splitlines() if each.startswith(line)), 0.0)

    read = lambda: client.raw("GET", "/metrics")[2].decode()  # noqa: E731
    lines = (
        'socialjax_requests_total{endpoint="/api/recommend",status="200"}',
        'socialjax_requests_total{endpoint="/api/recommend",status="404"}',
        'socialjax_requests_total{endpoint="other",status="404"}',
        'socialjax_request_seconds_bucket{endpoint="/api/recommend",le="+Inf"}',
    )
    before = read()
    for user in ("guest1", "guest2", "nobody"):
        client.get("api/recommend", user=user)
    client.raw("GET", "/made/up")
    after = read()
    assert [count(after, line) - count(before, line) for line in lines] == [2, 1, 1, 3]
    assert count(after, "process_resident_memory_bytes") > 1e8 and count(after, "socialjax_waiting") == 0
    assert client.raw("GET", "/metrics")[1]["content-type"].startswith("text/plain")


def test_the_description_names_every_endpoint_its_types_and_its_errors(clients):
    status, api = clients["cafes"].get("openapi.json")
    named = {"recommend", "recommend_new", "similar", "explain", "score", "key_frames", "profile", "users", "items"}
    assert status == 200 and {f"/api/{name}" for name in named | {"picture", "run"}} <= set(api["paths"])
    for path in (f"/api/{name}" for name in named):
        (method,) = api["paths"][path].values()
        answer = method["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert api["components"]["schemas"][answer]["properties"]
        assert {"404", "409", "422", "503"} <= set(method["responses"])
    assert "HTTPValidationError" not in json.dumps(api)
    page = clients["cafes"].raw("GET", "/docs")[2].decode()
    assert all(path in page for path in api["paths"]) and "<script" not in page
    assert all(f'id="{name}"' in page for name in api["components"]["schemas"])
