"""Pictures adorn results: what cannot be drawn costs a warning."""

import pytest

from socialjax.drawing import attempt


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
