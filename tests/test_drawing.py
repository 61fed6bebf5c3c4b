"""Pictures say what they are given: names of strangers are text, in letters that some installed font has."""

import logging

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.image import imread

from socialjax import drawing
from socialjax.drawing import blank, fonts, save, wrapped

TEA = "茶館"


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


@pytest.fixture
def squares(tmp_path, monkeypatch):
    """Installs a font of the first family of FALLBACK, in which the letters of TEA are full squares."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = [".notdef", "tea", "house"]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(letter): name for letter, name in zip(TEA, names[1:])})
    font.setupGlyf(dict.fromkeys(names, pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    font.setupHorizontalHeader(ascent=1000, descent=0)
    font.setupNameTable({"familyName": drawing.FALLBACK[0], "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(tmp_path / "squares.ttf")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(font_manager.fontManager.ttflist))
    font_manager.fontManager.addfont(tmp_path / "squares.ttf")
    yield
    font_manager.fontManager._findfont_cached.cache_clear()


@pytest.fixture
def no_fallback(monkeypatch):
    """No family of FALLBACK is installed."""
    others = [entry for entry in font_manager.fontManager.ttflist if entry.name not in drawing.FALLBACK]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", others)


@pytest.mark.parametrize("name", ["$\\frac$", "a $_$ b", "5$ and ${$", "\\$ $$ \\", "映画 \N{WOMAN}"])
def test_names_of_strangers_are_text_and_not_mathematics(tmp_path, name):
    save(labelled(name), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_letters_that_the_usual_font_lacks_are_drawn_in_an_installed_one_that_has_them(tmp_path, caplog, squares):
    assert fonts("Tea") == (["sans-serif"], "")
    assert fonts(f"Tea {TEA}") == (["sans-serif", drawing.FALLBACK[0]], "")
    figure = blank(2, 1)
    figure.suptitle(TEA, y=0.5, va="center", fontsize=36)
    save(figure, tmp_path / "tea.png", dpi=100)
    dark = imread(tmp_path / "tea.png")[..., 0] < 0.5
    rows, columns = (np.flatnonzero(dark.any(axis=axis)) for axis in (1, 0))
    assert dark[rows[0] : rows[-1], columns[0] : columns[-1]].all()  # two squares side by side
    np.testing.assert_allclose([len(rows), len(columns)], [50, 100], atol=3)  # 36 points at 100 dots an inch
    assert not caplog.messages


def test_letters_of_ticks_count_too(tmp_path, caplog, no_fallback):
    figure = blank(2, 1)
    figure.subplots().bar([TEA, "x"], [1, 2])
    save(figure, tmp_path / "a.png")
    assert TEA in caplog.text


def test_letters_that_no_installed_font_has_are_named_in_a_warning(tmp_path, caplog, no_fallback):
    with caplog.at_level(logging.WARNING):
        save(labelled(f"a {TEA} b"), tmp_path / "a.png")
    assert caplog.messages == [
        f"{tmp_path / 'a.png'}: no font that is installed has {TEA}, drawn as boxes; install one that has, such as "
        "Noto Sans CJK"
    ]
    assert fonts(f"館{TEA}a") == (["sans-serif"], "館茶")


def test_the_lines_of_a_title_fit_the_figure():
    title = "user 1, item 2: score +1.000\nSTAND-IN: " + "a-long-name-of-data " * 8
    lines = wrapped(title, 6.5).split("\n")
    assert lines[0] == "user 1, item 2: score +1.000" and len(lines) > 2 and max(map(len, lines)) <= 81
    assert " ".join(lines[1:]).split() == title.split("\n")[1].split()
