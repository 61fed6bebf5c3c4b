"""A run with a mirror is killed and its machine lost; another machine goes on with it to the same figures."""

import json
import re
import shutil
import time

import pytest
from stores import S3

pytest.importorskip("obstore")


@pytest.fixture(params=[pytest.param("file", marks=pytest.mark.slow), "s3"])
def mirror(request, tmp_path):
    """(address, variables by which the command reaches it, read(name) -> bytes or None)"""
    from socialjax.object_store import Folder

    if request.param == "file":
        url = f"file://{tmp_path}/store"
        yield url, {}, lambda name: Folder(url, "test").get(name, 1 << 30)
        return
    server, url = S3(), "s3://bucket/runs/killed"
    with pytest.MonkeyPatch.context() as patched:
        for name, value in server.variables.items():
            patched.setenv(name, value)
        yield url, server.variables, lambda name: Folder(url, "test").get(name, 1 << 30)
    server.close()


def test_a_killed_run_goes_on_elsewhere(commands, unbroken, left_behind, mirror, tmp_path):
    url, variables, read = mirror
    process = commands.start(tmp_path / "first", "--mirror", url, **variables)
    deadline = time.monotonic() + 120
    while (text := read("manifest.json")) is None or json.loads(text)["steps"].get("seed_0", 0) == 0:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.05)
    process.kill()
    process.communicate()
    was_killed = not (tmp_path / "first" / "result.json").exists()
    shutil.rmtree(tmp_path / "first")

    code, _, error = commands.run(tmp_path / "second", "--mirror", url, **variables)
    assert code == 0 and f"was brought back from {url}" in error, error
    assert not was_killed or "going on from step" in error
    assert left_behind(tmp_path / "second") == left_behind(unbroken)

    code, out, error = commands.run(tmp_path / "third", "--mirror", url, **variables)  # what is finished is only shown
    assert code == 0 and "finished before" in error and "bpr" in out, error
    assert left_behind(tmp_path / "third") == left_behind(unbroken)


def test_a_work_folder_in_a_store_is_refused_with_what_is_possible(commands):
    code, _, error = commands.run("s3://bucket/run")
    error = " ".join(re.findall(r"[^│╭╮╰╯─\s]+", error))  # out of its frame
    assert code != 0 and "--workdir must be a local folder" in error and "--mirror s3://bucket/run" in error
    assert "Traceback" not in error
