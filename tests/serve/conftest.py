"""Runs that are served: friends, ids that are numbers, and a planted world with pictures and frames."""

import pytest

import socialjax


@pytest.fixture(scope="session")
def club(tmp_path_factory):
    """(data, folder of its pictures) of the synthetic world."""
    import photo_club

    folder = tmp_path_factory.mktemp("club") / "pictures"
    return photo_club.photo_club(folder), folder


@pytest.fixture(scope="session")
def club_runs(club, tmp_path_factory):
    """{"diffnet", "jifr"} trained on it."""
    import photo_club

    folder = tmp_path_factory.mktemp("club-runs")
    return {model: photo_club.trained(club[0], folder / model, model) for model in ("diffnet", "jifr")}


@pytest.fixture(scope="module")
def clients(finished_runs, run_home, club, club_runs):
    """A client for each run: `cafes` and `club` (DiffNet), `plain` (BPR, ids are numbers), `frames` (JIFR)."""
    import contextlib

    import asking

    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
        patch.delenv("SOCIALJAX_DATA", raising=False)
        serve = lambda *of: stack.enter_context(asking.serving(*of))  # noqa: E731
        yield {
            "cafes": serve(socialjax.load(finished_runs["diffnet"])),
            "plain": serve(socialjax.load(finished_runs["bpr"])),
            "club": serve(club_runs["diffnet"], club[1]),
            "frames": serve(club_runs["jifr"], club[1]),
        }
