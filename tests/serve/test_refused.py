"""What cannot be answered has a status and a sentence of the library; nothing hostile gets anywhere."""

import asyncio
import dataclasses
import json
import logging
import re
import socket
import time

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

import asking

from socialjax.serve.answers import Answers
from socialjax.serve.app import application
from socialjax.serve.guard import LOOPBACK, MOST_BYTES
from socialjax.serve.workers import Busy, Workers


def sentence(ask, *arguments):
    with pytest.raises((ValueError, NotImplementedError)) as raised:
        ask(*arguments)
    return str(raised.value)


def test_unknown_users_and_items_are_not_found_with_the_librarys_sentence(clients):
    client = clients["cafes"]
    run = client.run
    user, item = sentence(run.recommend, "bob"), sentence(run.similar_items, "bar-1")
    assert "no user 'bob'; its 24 users are called guest0" in user and "no item 'bar-1'" in item
    for path, asked, said in (
        ("recommend", {"user": "bob"}, user),
        ("profile", {"user": "bob"}, user),
        ("score", {"user": "bob", "item": "cafe-1"}, user),
        ("score", {"user": "guest1", "item": "bar-1"}, item),
        ("similar", {"item": "bar-1"}, item),
        ("explain", {"user": "guest1", "item": ["cafe-1", "bar-1"]}, item),
        ("key_frames", {"user": "guest1", "item": "bar-1"}, item),
        ("picture", {"item": "bar-1"}, item),
    ):
        assert client.get(f"api/{path}", **asked) == (404, {"error": said}), path
    assert client.post("api/recommend_new", {"items": ["bar-1"]}) == (404, {"error": item})
    assert client.post("api/recommend_new", {"friends": ["bob"]}) == (404, {"error": user})


def test_a_k_out_of_range_is_refused_with_the_librarys_sentence(clients):
    client = clients["cafes"]
    for k in (0, -1, 17, 10**6, -(10**18)):
        said = sentence(client.run.recommend, "guest1", k)
        assert re.match(r"k must be in 1\.\.16, the size of the catalogue, got", said)
        assert client.get("api/recommend", user="guest1", k=k) == (422, {"error": said})
        assert client.post("api/recommend_new", {"k": k}) == (422, {"error": said})
        said = sentence(client.run.similar_items, "cafe-1", k)
        assert client.get("api/similar", item="cafe-1", k=k) == (422, {"error": said})
    assert clients["frames"].get("api/key_frames", user="Ada 1", item="p07", k=0)[0] == 422


def test_a_k_that_is_too_large_for_a_server_says_what_to_do(club_runs):
    run = club_runs["diffnet"]
    many = dataclasses.replace(run.data, num_items=200)
    answers = Answers.__new__(Answers)  # the check alone: a catalogue of that size takes no part
    answers.run = dataclasses.replace(run, data=many)
    with pytest.raises(Exception, match=r"k must be in 1\.\.100, got 101; `recommend_all` writes more") as refused:
        answers._check(101, run.recommend, "Ada 1", 101)
    assert refused.value.status == 422
    answers._check(100, run.recommend, "Ada 1", 100)


def test_what_the_model_cannot_do_is_a_conflict_with_the_librarys_sentence(clients):
    frames, plain = clients["frames"], clients["plain"]
    for path, asked, said in (
        ("similar", {"item": "p01"}, sentence(frames.run.similar_items, "p01")),
        ("similar", {"item": "p01", "k": 0}, sentence(frames.run.similar_items, "p01")),
    ):
        assert frames.get(f"api/{path}", **asked) == (409, {"error": said})
    said = sentence(frames.run.recommend_new, ["p01"])
    assert frames.post("api/recommend_new", {"items": ["p01"]}) == (409, {"error": said})
    said = sentence(plain.run.key_frames, 1, 1)
    assert plain.get("api/key_frames", user=1, item=1) == (409, {"error": said})
    said = sentence(plain.run.recommend_new, [1], [2])
    assert "does not use friends" in said
    assert plain.post("api/recommend_new", {"items": [1], "friends": [2]}) == (422, {"error": said})


def test_a_title_of_several_items_is_refused_and_not_unknown(club_runs):
    run = club_runs["diffnet"]
    titles = np.where(np.arange(40) < 2, "Twice", run.data.item_titles)
    again = dataclasses.replace(run, data=dataclasses.replace(run.data, item_titles=titles))
    with asking.serving(again, warm=False) as client:
        status, got = client.get("api/similar", item="Twice")
        assert (status, got["error"]) == (422, sentence(again.similar_items, "Twice"))


def test_an_item_without_frames_is_refused_with_the_librarys_sentence(club_runs):
    run = club_runs["jifr"]
    offsets = run.data.frames.offsets.copy()
    offsets[8] = offsets[7]
    frames = dataclasses.replace(run.data.frames, offsets=offsets)
    lacking = dataclasses.replace(run, data=dataclasses.replace(run.data, frames=frames))
    with asking.serving(lacking, warm=False) as client:
        said = sentence(lacking.key_frames, "Ada 1", "p07")
        assert client.get("api/key_frames", user="Ada 1", item="p07") == (422, {"error": said})
        status, _, body = client.raw("GET", "/api/picture?item=p07")
        assert (status, json.loads(body)) == (404, {"error": "item 'p07' has no picture"})


@pytest.mark.parametrize(
    "path, wrong",
    [
        ("/api/recommend", "user: Field required"),
        ("/api/recommend?user=guest1&k=ten", "k: Input should be a valid integer.*got 'ten'"),
        ("/api/recommend?user=guest1&k=1e9", "k: Input should be a valid integer"),
        (f"/api/recommend?user=guest1&k={'9' * 5000}", "k: "),
        ("/api/recommend?user=guest1&exclude_seen=perhaps", "exclude_seen: Input should be a valid boolean"),
        (f"/api/recommend?user={'x' * 501}", "user: String should have at most 500 characters"),
        ("/api/explain?user=guest1", "item: Field required"),
        ("/api/explain?user=guest1" + 21 * "&item=cafe-1", "item: List should have at most 20 items"),
        ("/api/explain?user=guest1&item=cafe-1&shown=0", "shown: Input should be greater than or equal to 1"),
        ("/api/users?most=101", "most: Input should be less than or equal to 100"),
        ("/api/picture?item=cafe-1&frame=-1", "frame: Input should be greater than or equal to 0"),
    ],
)
def test_parameters_of_another_form_are_refused_by_name(clients, path, wrong):
    status, _, body = clients["cafes"].raw("GET", path)
    assert status == 422 and re.match(wrong, json.loads(body)["error"]), body


@pytest.mark.parametrize(
    "body, status",
    [
        (b"", 422),
        (b"{", 422),
        (b"\xff\xfe\x00", (400, 422)),
        (b"[" * 60_000, (400, 422)),
        (b'{"k": ' + b"9" * 6000 + b"}", (400, 422)),
        ([], 422),
        ({"items": "cafe-1"}, 422),
        ({"items": [None]}, 422),
        ({"items": [1.5]}, 422),
        ({"items": [True]}, 422),
        ({"items": [["cafe-1"]]}, 422),
        ({"items": ["x" * 501]}, 422),
        ({"items": [1] * 1001}, 422),
        ({"k": True}, 422),
        ({"k": "3"}, 422),
        ({"k": None}, 422),
        ({"taste": "good"}, 422),
        ({"items": ["\ud800"]}, (404, 422)),
        ({"items": ["\x00", "cafe-1"]}, 404),
        ({"items": [10**30]}, 404),
        ({"items": [-1]}, 404),
        ({"friends": ["../../etc/passwd"]}, 404),
    ],
)
def test_bodies_of_another_form_are_refused(clients, body, status):
    got, answer = clients["cafes"].post("api/recommend_new", body)
    assert got in np.atleast_1d(status) and answer["error"] and "Traceback" not in answer["error"]
    assert len(answer["error"]) < 1000 and answer["error"].isprintable()


def test_a_body_may_have_so_many_bytes_and_no_more(clients):
    client = clients["cafes"]
    fits = b'{"k": 3}' + b" " * (MOST_BYTES - 8)
    assert client.post("api/recommend_new", fits)[0] == 200
    assert client.post("api/recommend_new", fits + b" ")[0] == 413
    # In pieces without a length, as much as anyone likes to send: the server stops reading.
    with socket.create_connection(client.place.split(":")) as sent:
        sent.sendall(b"POST /api/recommend_new HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        sent.sendall(piece * 3)
        assert sent.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_come_is_not_waited_for(club_runs):
    app = application(Answers(club_runs["diffnet"]), body_seconds=0.2)
    with asking.listening(app) as client, socket.create_connection(client.place.split(":")) as sent:
        sent.sendall(b"POST /api/recommend_new HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        sent.settimeout(30)
        assert sent.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_endless_headers_and_garbage_do_not_reach_the_application(clients):
    client = clients["cafes"]
    for text in (
        b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000,
        b"\x16\x03\x01\x02\x00" * 100 + b"\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
    ):
        with socket.create_connection(client.place.split(":")) as sent:
            sent.settimeout(30)
            try:
                sent.sendall(text)
                got = sent.recv(1000)
            except ConnectionError:
                got = b""
            assert got == b"" or re.match(rb"HTTP/1\.1 (400|431)", got)
    assert client.get("health") == (200, {"status": "ok"})


def test_paths_lead_to_no_file(clients):
    client = clients["club"]
    for path in (
        "/../../../etc/passwd",
        "/page/../../pyproject.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/page.js/../app.py",
        "//etc/passwd",
        "/api/picture/../../etc/passwd",
        "/index.html",
        "/%7f%00",
    ):
        status, _, body = client.raw("GET", path)
        assert status in (400, 404) and b"root:" not in body and b'socialjax"' not in body, path
    # Ids and names of pictures that would lead out of their folder: p03 is called so, the file of p04 is.
    status, got = client.get("api/score", user="Ada 1", item="../../etc/passwd")
    assert (status, got["item"]) == (200, "../../etc/passwd")
    assert client.raw("GET", "/api/picture?item=../../etc/passwd")[1]["content-type"] == "image/jpeg"
    assert client.get("api/picture", item="../../etc/shadow")[0] == 404
    status, got = client.get("api/picture", item="p04")
    assert status == 404 and got["error"] == "the picture of item 'p04' cannot be read; the server's data lack it"
    assert client.raw("GET", "/api/picture?item=p04&or_none=true")[0] == 204
    assert client.get("api/picture", item="p05", frame=3) == (404, {"error": "item 'p05' has no frame 3"})


def test_other_addresses_and_methods_are_answered_in_json(clients):
    client = clients["cafes"]
    assert client.get("nowhere") == (404, {"error": "nothing is called /nowhere here; /docs lists what there is"})
    for method, path in (("POST", "/api/recommend"), ("DELETE", "/"), ("PUT", "/api/run")):
        status, _, body = client.raw(method, path)
        assert status == 405 and "is not how" in json.loads(body)["error"]
    assert client.raw("GET", "/nowhere/%1b%5b31m")[2].decode().isprintable()


def test_a_page_of_another_host_cannot_ask(clients):
    client = clients["cafes"]
    port = client.place.split(":")[1]
    for host, status in (
        ("evil.example", 421),
        (f"evil.example:{port}", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("localhost", 200),
        (f"LOCALHOST:{port}", 200),
        (f"[::1]:{port}", 200),
    ):
        got, headers, _ = client.raw("GET", "/health", headers={"host": host})
        assert got == status, host
        assert "access-control-allow-origin" not in headers
    refused = json.loads(client.raw("GET", "/health", headers={"host": "evil.example"})[2])["error"]
    assert refused == "this server does not answer for the host 'evil.example'; start it with --hosts evil.example"


def test_every_answer_forbids_what_a_page_could_be_made_to_do(clients):
    client = clients["cafes"]
    for path in ("/", "/docs", "/page.js", "/api/run", "/nowhere", "/metrics", "/api/recommend?user=bob"):
        _, headers, _ = client.raw("GET", path)
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "http" not in policy and "unsafe-eval" not in policy
        assert "frame-ancestors 'none'" in policy and "script-src 'unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff" and "server" not in headers


def test_an_unexpected_error_has_an_id_that_is_in_the_log_and_no_trace_in_the_answer(club_runs, caplog, monkeypatch):
    answers = Answers(club_runs["diffnet"])
    monkeypatch.setattr(type(answers.run), "score", lambda *_: np.zeros(2) + np.zeros(3))  # a ValueError, and a bug
    with asking.listening(application(answers)) as client, caplog.at_level(logging.ERROR):
        status, got = client.get("api/score", user="Ada 1", item="p01")
        assert status == 500 and set(got) == {"error", "id"} and re.fullmatch(r"[0-9a-f]{12}", got["id"])
        assert got["error"] == "an unexpected error; the server's log says more under this id"
        (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
        assert got["id"] in record.message and "broadcast" in str(record.exc_info[1])
        assert client.get("health")[0] == 200
        assert 'endpoint="/api/score",status="500"} 1.0' in client.raw("GET", "/metrics")[2].decode()


def test_a_question_that_takes_too_long_and_one_too_many_are_told_so(club_runs):
    answers = Answers(club_runs["diffnet"])
    answers.score = lambda user, item: time.sleep(1.5)
    workers = Workers(threads=1, queue=1, seconds=0.3)
    with asking.listening(application(answers, workers)) as client:
        status, headers, body = client.raw("GET", "/api/score?user=1&item=1")
        assert status == 503 and json.loads(body)["error"].startswith("no answer within 0.3 s")
        status, headers, body = client.raw("GET", "/api/recommend?user=Ada+1")  # the thread is still at it
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(body)["error"] == "1 questions are waiting already; ask again in a second"
        assert client.get("health")[0] == 200
        time.sleep(1.5)
        assert client.get("api/profile", user="Ada 1")[0] == 200 and workers.waiting == 0


def test_workers_pass_errors_on_and_count_down():
    async def asked():
        workers = Workers(1)
        with pytest.raises(ZeroDivisionError):
            await workers(lambda: 1 / 0)
        with pytest.raises(Busy):
            await asyncio.gather(*(Workers(1, queue=2)(time.sleep, 0.01) for _ in range(1)), full(workers))
        await asyncio.sleep(0.1)
        return workers.waiting

    async def full(workers):
        workers.queue = 0
        await workers(time.sleep, 0)

    assert asyncio.run(asked()) == 0


def test_only_the_hosts_of_this_machine_are_answered_unless_told(clients):
    assert set(LOOPBACK) == {"localhost", "127.0.0.1", "[::1]"}
