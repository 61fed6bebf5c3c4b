"""The sheet shows each user's order, marks the key frame and is a picture that opens."""

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from socialjax.data.schema import Frames
from socialjax.explain import liked_frames
from socialjax.explain.liked_frames import UserRow, draw_frames

FRAMES = Frames(np.array([0, 1, 4]), np.zeros((4, 2), np.float32))  # those of the second item are 1, 2, 3
SHADES = (10, 40, 120, 200)
NONE = np.zeros(0, np.int32)
ROWS = [
    UserRow(0, "ann", np.array([3, 1, 2]), np.array([1.5, 0.25, -2.0]), np.array([0]), np.array([0.75, 0.25])),
    UserRow(1, "bob", np.array([1, 2, 3]), np.array([0.5, 0.4, 0.3]), NONE),
]


def picture(frame):
    return np.full((12, 16, 3), SHADES[frame], np.uint8)


def drawn(tmp_path, monkeypatch, rows=ROWS, title="A film", **more):
    """(the figure, its file)."""
    figures = []
    save = liked_frames.save
    monkeypatch.setattr(liked_frames, "save", lambda figure, path: figures.append(figure) or save(figure, path))
    draw_frames(tmp_path / "sheet.png", title, FRAMES, rows, picture, **more)
    return figures[0], tmp_path / "sheet.png"


def shown(figure):
    """[(shade, words below, whether it is marked)] of all pictures, line by line from the left."""
    found = []
    for axes in figure.axes:
        for image in axes.images:
            marked = any(isinstance(p, Rectangle) and not p.get_fill() for p in axes.patches)
            words = [text.get_text() for text in axes.texts if text.get_text().startswith("#")]
            found.append((int(image.get_array()[0, 0, 0]), *words, marked))
    return found


def test_frames_stand_in_each_users_order_and_the_first_is_marked(tmp_path, monkeypatch):
    figure, path = drawn(tmp_path, monkeypatch, styles=("dark", "light"), style=np.array([1, 0, 0, 1]))
    assert shown(figure) == [
        (40, False), (120, False), (200, False),
        (10, False), (200, "#3   +1.50", True), (40, "#1   +0.25", False), (120, "#2   -2.00", False),
        (40, "#1   +0.50", True), (120, "#2   +0.40", False), (200, "#3   +0.30", False),
    ]  # fmt: skip
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["dark", "light", "key frame of this user"]
    assert any("Rows: users. Columns: the item's frames" in text.get_text() for text in figure.texts)
    assert imread(path).ndim == 3 and [file.name for file in tmp_path.iterdir()] == ["sheet.png"]


def test_without_styles_no_taste_is_claimed(tmp_path, monkeypatch):
    figure, _ = drawn(tmp_path, monkeypatch)
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "planted taste" not in words and {"ann", "bob"} <= set(words)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["key frame of this user"]


def test_of_many_frames_the_most_liked_are_shown_and_the_line_of_all_is_left_out(tmp_path, monkeypatch):
    figure, _ = drawn(tmp_path, monkeypatch, rows=ROWS[1:], limit=2)
    assert shown(figure) == [(40, "#1   +0.50", True), (120, "#2   +0.40", False)]


@pytest.mark.parametrize("title", ["item 7 $x_$", "A long title of a film and all that it is about " * 5])
def test_no_word_leaves_the_picture(tmp_path, monkeypatch, title):
    figure, _ = drawn(tmp_path, monkeypatch, title=title)
    width, height = figure.bbox.size
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
