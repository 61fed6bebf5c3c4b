"""Downloads against a real server on this machine: resumed, verified, atomic, and over soon when nothing answers."""

import contextlib
import dataclasses
import hashlib
import multiprocessing
import socket
import time

import pytest
from web import BODY

from socialjax.data import download
from socialjax.data.download import DownloadError, Limits, Unreachable
from socialjax.data.sets import PUBLISHED
from socialjax.data.sets.published import RemoteFile

GOOD = RemoteFile("set.rating", text=hashlib.sha256(BODY).hexdigest())
QUICK = Limits(silence=0.5, total=20, tries=3)


def get(server, folder, tmp_path, file=GOOD, limits=QUICK):
    return download.fetch_file(file, (f"{server.address}/{folder}",), tmp_path, limits)


def test_a_file_arrives_whole_and_alone(server, tmp_path):
    assert get(server, "good", tmp_path).read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["set.rating"]


def test_a_broken_transfer_is_resumed_where_it_broke(server, tmp_path):
    assert get(server, "breaks", tmp_path).read_bytes() == BODY
    ranges = [wanted for _, wanted in server.asked]
    half = len(BODY) // 2
    assert ranges == [None, f"bytes={half}-", f"bytes={half + (len(BODY) - half) // 2}-"]


def test_a_part_of_an_earlier_run_is_continued(server, tmp_path):
    (tmp_path / "set.rating.part").write_bytes(BODY[:1000])
    assert get(server, "good", tmp_path).read_bytes() == BODY
    assert server.asked == [("/good/set.rating", "bytes=1000-")]


@pytest.mark.parametrize("folder", ["good", "deaf"])
@pytest.mark.parametrize("part", [b"something else", BODY, BODY + b"more"])
def test_any_part_leads_to_the_right_file(server, tmp_path, folder, part):
    (tmp_path / "set.rating.part").write_bytes(part)
    assert get(server, folder, tmp_path).read_bytes() == BODY


def test_content_decides_and_line_ends_do_not(server, tmp_path):
    assert get(server, "windows", tmp_path).read_bytes() == BODY.replace(b"\n", b"\r\n")


def test_a_git_blob_id_recognises_a_file(server, tmp_path):
    blob = hashlib.sha1(b"blob %d\0" % len(BODY) + BODY).hexdigest()
    assert get(server, "good", tmp_path, RemoteFile("a.npy", blob=blob)).read_bytes() == BODY
    with pytest.raises(DownloadError, match="checksum"):
        get(server, "windows", tmp_path, RemoteFile("b.npy", blob=blob))


def test_wrong_content_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(DownloadError, match=f"checksum .* wanted {GOOD.text}"):
        get(server, "wrong", tmp_path)
    assert not (tmp_path / "set.rating").exists()
    assert len(server.asked) == 1


def test_the_next_address_is_tried_after_404_or_wrong_content(server, tmp_path):
    addresses = tuple(f"{server.address}/{folder}" for folder in ("missing", "wrong", "good"))
    assert download.fetch_file(GOOD, addresses, tmp_path, QUICK).read_bytes() == BODY
    with pytest.raises(DownloadError, match="404"):
        download.fetch_file(dataclasses.replace(GOOD, name="b"), addresses[:1], tmp_path, QUICK)


def test_a_silent_server_is_given_up_soon(server, tmp_path):
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer|cannot be reached"):
        get(server, "hang", tmp_path)
    assert time.monotonic() - began < 3 and len(server.asked) == 1


def test_a_transfer_that_falls_silent_keeps_what_came(server, tmp_path):
    began = time.monotonic()
    with pytest.raises(Unreachable, match="broke off 3 times"):
        get(server, "stops", tmp_path)
    assert time.monotonic() - began < 6
    part = (tmp_path / "set.rating.part").read_bytes()
    assert len(part) > len(BODY) // 2 and BODY.startswith(part)


def test_refused_and_unknown_hosts_end_at_once(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused
        for address in (f"http://127.0.0.1:{taken.getsockname()[1]}", "http://no-such-host.invalid"):
            began = time.monotonic()
            with pytest.raises(Unreachable):
                download.fetch_file(GOOD, (address, address), tmp_path, QUICK)
            assert time.monotonic() - began < 2


def test_a_folder_that_cannot_be_written_is_said(server, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    entry = dataclasses.replace(PUBLISHED["lastfm"], files=(GOOD,), addresses=(f"{server.address}/good",))
    with pytest.raises(DownloadError, match="set SOCIALJAX_CACHE"):
        download.fetch(entry, tmp_path / "file" / "raw", QUICK)


def test_fetch_takes_what_is_lacking_and_no_optional_file(server, tmp_path):
    other = dataclasses.replace(GOOD, name="have.rating")
    (tmp_path / "have.rating").write_bytes(b"already here")
    entry = dataclasses.replace(
        PUBLISHED["lastfm"],
        files=(GOOD, other),
        optional=(RemoteFile("user_vector.npy", blob="0" * 40),),
        addresses=(f"{server.address}/good",),
    )
    assert [path.name for path in download.fetch(entry, tmp_path, QUICK)] == ["set.rating"]
    assert (tmp_path / "have.rating").read_bytes() == b"already here"
    assert [path for path, _ in server.asked] == ["/good/set.rating"]


@pytest.mark.parametrize(
    "folder, said", [("endless", r"sent .* and goes on"), ("huge", r"wants to send 1,099,511\.6 MB")]
)
@pytest.mark.parametrize("earlier", [0, 1000, 5_000_000])
def test_a_server_that_sends_too_much_is_cut_off_and_nothing_is_kept(server, tmp_path, folder, said, earlier):
    if earlier:
        (tmp_path / "set.rating.part").write_bytes(bytes(earlier))
    limits = dataclasses.replace(QUICK, largest=2_000_000)
    with pytest.raises(DownloadError, match=rf"{said}, more than the 2\.0 MB that a published file may have"):
        get(server, folder, tmp_path, limits=limits)
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1 and server.sent < 50_000_000  # what the buffers of the connection hold beside
    addresses = tuple(f"{server.address}/{place}" for place in (folder, "good"))
    assert download.fetch_file(GOOD, addresses, tmp_path, limits).read_bytes() == BODY


def test_no_download_takes_more_than_half_of_the_free_room(server, tmp_path, monkeypatch):
    usage = download.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage._replace(free=2 * len(BODY) - 2))
    with pytest.raises(DownloadError, match="is half of the free room of the disk"):
        get(server, "good", tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage._replace(free=2 * len(BODY)))
    assert get(server, "good", tmp_path).read_bytes() == BODY


def _get_in_process(address, folder, results):
    download.fetch_file(GOOD, (address,), folder, QUICK)
    results.put((folder / GOOD.name).read_bytes() == BODY)


def test_two_processes_may_fetch_the_same_file(server, tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    both = [
        context.Process(target=_get_in_process, args=(f"{server.address}/good", tmp_path, results)) for _ in range(2)
    ]
    for process in both:
        process.start()
    assert all(results.get() for _ in both)
    for process in both:
        process.join()
    assert [path.name for path in tmp_path.iterdir()] == ["set.rating"]


def test_a_part_in_use_by_another_is_left_alone(server, tmp_path):
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(download._partial(tmp_path, GOOD.name))
        other.write(b"theirs")
        other.flush()
        assert get(server, "good", tmp_path).read_bytes() == BODY
        assert (tmp_path / "set.rating.part").read_bytes() == b"theirs"
