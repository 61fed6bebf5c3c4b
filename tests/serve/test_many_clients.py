"""Many clients at once get what one gets, and thousands of questions leave no memory behind."""

import concurrent.futures
import http.client
import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

CLIENTS = 32


def resident():
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def test_thirty_two_clients_get_the_answers_of_one(clients):
    client = clients["club"]
    data = client.run.data
    questions = []
    for number in range(CLIENTS):
        user, item = data.users.typed(number), data.items.typed(number)
        questions += [
            ("get", "api/recommend", {"user": user, "k": 1 + number}),
            ("get", "api/explain", {"user": user, "item": [item, "p00"]}),
            ("get", "api/similar", {"item": item, "k": 3}),
            ("get", "api/recommend", {"user": f"nobody {number}"}),
            ("post", "api/recommend_new", {"items": [item, "p09"], "friends": [user], "k": 5}),
        ]

    def ask(question):
        kind, path, of = question
        return client.get(path, **of) if kind == "get" else client.post(path, of)

    one_by_one = list(map(ask, questions))
    assert {status for status, _ in one_by_one} == {200, 404}
    order = np.random.default_rng(0).permutation(len(questions))
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(2):
            together = list(pool.map(ask, [questions[n] for n in order]))
            assert together == [one_by_one[n] for n in order]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_thousands_of_questions_leave_no_memory_behind(clients):
    client = clients["cafes"]
    connection = http.client.HTTPConnection(client.place, timeout=60)
    paths = [
        f"/api/{path}"
        for user in range(24)
        for path in (f"recommend?user=guest{user}&k={1 + user % 16}", f"explain?user=guest{user}&item=cafe-{user % 16}",
                     f"users?prefix=guest{user}", f"recommend?user=nobody{user}", f"made/up/{user}")
    ]  # fmt: skip

    def ask(count):
        for number in range(count):
            connection.request("GET", paths[number % len(paths)])
            answer = connection.getresponse()
            assert json.loads(answer.read()) and answer.status in (200, 404)

    ask(600)
    before = resident()
    ask(3000)
    assert resident() - before < 8, "MB"
    connection.close()
