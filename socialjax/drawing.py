"""Figures drawn without a display, fonts that have the letters, and PNGs whose failure costs a warning alone.

Not pyplot: no state, no display, a quicker start. Matplotlib takes half a second to import and is imported when a
figure is made.
"""

import contextlib
import logging
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from socialjax.atomic_write import atomic_write
from socialjax.names import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

# Colours of categories, in the order in which they are given out (those of Observable's notebooks).
COLOURS = ("#4269d0", "#ff8a2b", "#e0ac2b", "#3ca951", "#9c6b4e", "#a463f2", "#97bbf5", "#ff6ea8")
BLUE, ORANGE, YELLOW, GREEN, BROWN, PURPLE, SKY, PINK = COLOURS
GREY, SILVER = "#8a8f98", "#c0c4ca"  # the rest, and baselines
INK, RED = "#222", "#a00"  # of titles, and of those that say that data are generated
# Families with Chinese, Japanese or Korean letters, which Matplotlib's own font lacks, tried in this order.
FALLBACK = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK TC", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans JP"),
    *("Source Han Sans SC", "Source Han Sans CN", "Source Han Sans JP", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Droid Sans Fallback", "IPAexGothic", "IPAGothic", "TakaoGothic", "VL Gothic", "NanumGothic", "Unifont"),
    *("PingFang SC", "Hiragino Sans", "Hiragino Sans GB", "Heiti TC", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "MS Gothic", "Malgun Gothic"),
)


def blank(width: float, height: float) -> "Figure":
    """An empty figure.

    Args:
        width: inches.
        height: inches.

    Returns:
        A figure whose axes are laid out so that no text is cut off.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def wrapped(title: str, inches: float) -> str:
    """The lines of a title, none longer than a figure of that width can hold."""
    return "\n".join(textwrap.fill(line, int(12.5 * inches), break_on_hyphens=False) for line in title.split("\n"))


def save(figure: "Figure", path: Path, dpi: int = 120) -> None:
    """Writes the figure as PNG, whole or not at all.

    No text is read as mathematics, since names may hold `$`. Letters that Matplotlib's font lacks are drawn in the
    first family of `FALLBACK` that is installed and has them. Where none has, they are drawn as boxes and a warning
    names them.

    Args:
        figure: of `blank`.
        path: of the file.
        dpi: pixels an inch.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    for axes in figure.axes:  # texts of ticks are made when asked for
        axes.get_xticklabels(), axes.get_yticklabels()
    texts = figure.findobj(Text)
    families, lacking = fonts("".join(text.get_text() for text in texts))
    if lacking:
        log.warning(
            "%s: no font that is installed has %s, drawn as boxes; install one that has, such as Noto Sans CJK",
            *(path, visible(lacking[:20])),
        )
    for text in texts:
        text.set_parse_math(False)
        text.set_fontfamily(families)
    late = {"text.parse_math": False, "font.family": families}  # of ticks that are made when it is drawn
    with atomic_write(path) as temporary, warnings.catch_warnings(), rc_context(late):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # warned of above
        figure.savefig(temporary, dpi=dpi, format="png")


def fonts(text: str) -> tuple[list[str], str]:
    """Families that together have the letters of a text.

    Args:
        text: of any language.

    Returns:
        Matplotlib's family and, as far as it lacks letters, families of `FALLBACK` that are installed and have them;
        and the letters that none of these has, each once, in their order.
    """
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    families = list(rcParams["font.family"])
    lacking = _lacking(dict.fromkeys(c for c in text if c.isprintable()), findfont(FontProperties()))
    if lacking:
        installed = {entry.name: entry.fname for entry in fontManager.ttflist}
        for family in FALLBACK:
            if family in installed and (left := _lacking(lacking, installed[family])) != lacking:
                families.append(family)
                lacking = left
    return families, "".join(lacking)


def _lacking(letters, file: str) -> list[str]:
    """The letters that the font in the file has no shape for."""
    from matplotlib.ft2font import FT2Font

    font = FT2Font(file)
    return [letter for letter in letters if not font.get_char_index(ord(letter))]


def attempt(path: Path, draw: Callable[[Path], object], anew: bool = False) -> bool:
    """Calls draw(path) unless the file is there, or `anew` -> whether it is there afterwards.

    For what a result is adorned with, once it is written: what goes wrong is a warning with the reason, and the next
    start of the command tries again.
    """
    if path.exists() and not anew:
        return True
    try:
        draw(path)
    except Exception as error:  # whatever fonts, names and full disks make Matplotlib raise
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # one that was there shows something else
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        log.warning("%s could not be made (%s); the results are kept, and the same command tries again", path, why)
    return path.exists()
