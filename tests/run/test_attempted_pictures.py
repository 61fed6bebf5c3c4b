"""Pictures adorn results: names may hold anything, and what cannot be drawn costs a warning."""

import pytest

from socialjax.run.pictures import attempt, blank, save


def labelled(name):
    """A picture with the name as title, label, legend and on an axis, whose ticks are made when it is drawn."""
    figure = blank(3, 2)
    figure.suptitle(name)
    axis = figure.subplots()
    axis.bar([name, "other"], [1, 2], label=name)
    axis.set(xlabel=name, title=name)
    axis.text(0, 0, name)
    axis.legend()
    return figure


@pytest.mark.parametrize("name", ["$\\frac$", "a $_$ b", "5$ and ${$", "\\$ $$ \\", "映画 \N{WOMAN}"])
def test_names_of_strangers_are_text_and_not_mathematics(tmp_path, name):
    save(labelled(name), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_picture_is_drawn_once_and_what_fails_is_tried_again(tmp_path, caplog):
    calls = []

    def draw(path):
        calls.append(path)
        if len(calls) == 1:
            raise ValueError("two\nlines")
        path.write_bytes(b"picture")

    path = tmp_path / "a.png"
    assert not attempt(path, draw)
    assert caplog.messages == [
        f"{path} could not be made (ValueError: two lines); the results are kept, and the same command tries again"
    ]
    assert attempt(path, draw) and attempt(path, draw) and len(calls) == 2
    assert attempt(path, draw, anew=True) and len(calls) == 3


def test_a_picture_of_something_else_does_not_stay(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"of before")
    assert not attempt(path, lambda _: 1 / 0, anew=True) and not path.exists()


def test_a_stop_is_no_failure_of_a_picture(tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(tmp_path / "a.png", stop)
