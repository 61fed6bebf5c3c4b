"""The sheet shows each user's order, marks the key frame and is a picture that opens."""

import numpy as np
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from socialjax.run import contact_sheet
from socialjax.run.contact_sheet import Row, draw

PICTURES = [np.full((12, 16, 3), shade, np.uint8) for shade in (40, 120, 200)]
ROWS = [
    Row("ann", np.array([2, 0, 1]), np.array([1.5, 0.25, -2.0]), np.array([0.75, 0.25]), PICTURES[:1]),
    Row("bob", np.array([0, 1, 2]), np.array([0.5, 0.4, 0.3])),
]


def drawn(tmp_path, monkeypatch, **more):
    """(the figure, its file)."""
    figures = []
    save = contact_sheet.save
    monkeypatch.setattr(contact_sheet, "save", lambda figure, path: figures.append(figure) or save(figure, path))
    draw(tmp_path / "sheet.png", "A film", PICTURES, ROWS, **more)
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
    figure, path = drawn(tmp_path, monkeypatch, styles=("dark", "light"), style=np.array([0, 0, 1]))
    assert shown(figure) == [
        (40, False), (120, False), (200, False),
        (40, False), (200, "#3   +1.50", True), (40, "#1   +0.25", False), (120, "#2   -2.00", False),
        (40, "#1   +0.50", True), (120, "#2   +0.40", False), (200, "#3   +0.30", False),
    ]  # fmt: skip
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["dark", "light", "key frame of this user"]
    assert any("Rows: users. Columns: the film's frames" in text.get_text() for text in figure.texts)
    assert imread(path).ndim == 3 and [file.name for file in tmp_path.iterdir()] == ["sheet.png"]


def test_without_styles_no_taste_is_claimed(tmp_path, monkeypatch):
    figure, _ = drawn(tmp_path, monkeypatch)
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "planted taste" not in words and {"ann", "bob"} <= set(words)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["key frame of this user"]
