"""Pictures drawn without a display: a blank figure, and its PNG."""

from pathlib import Path
from typing import TYPE_CHECKING

from socialjax.whole import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def blank(width: float, height: float) -> "Figure":
    """A figure of that size in inches. Not pyplot's: no state, no display, a quicker start."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Writes the figure as a PNG."""
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
