"""Draws how far from retraining every method stays, a panel a kind of request, a row a method."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmarks.quality.tables import Line

PASSED_COLOUR, REFUSED_COLOUR, FLOOR_COLOUR, QUIET_COLOUR = "#1f6f8b", "#d97b29", "#555555", "#dddddd"
NUM_COLUMNS = 3
ROW_HEIGHT = 0.17  # inches
NEAREST = 0.05  # of retraining's distance; what is nearer is drawn here


def draw(found: Mapping[str, Sequence[Line]], title: str, path: Path) -> None:
    """Draw one panel a kind of request and write the picture.

    Args:
        found: the lines of each kind, nearest to retraining first.
        title: of the whole.
        path: ends in .png or .svg.
    """
    num_rows = -(-len(found) // NUM_COLUMNS)
    height = 1.2 + ROW_HEIGHT * max(len(own) for own in found.values())
    figure, panels = plt.subplots(num_rows, NUM_COLUMNS, figsize=(14, height * num_rows), squeeze=False)
    for panel in panels.flat[len(found) :]:
        panel.set_axis_off()
    for panel, (ask, own) in zip(panels.flat, found.items(), strict=False):
        _panel(panel, ask, [line for line in own if line.measured])
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.legend(handles=_key(), loc="upper right", ncols=3, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 0.985))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _panel(panel: Axes, ask: str, own: Sequence[Line]) -> None:
    places = range(len(own))
    distances = [max(line.distance, NEAREST) for line in own]
    panel.hlines(places, 1.0, distances, color=QUIET_COLOUR, linewidth=2, zorder=0)
    panel.axvline(1.0, color=FLOOR_COLOUR, linewidth=1, linestyle="--", zorder=1)
    panel.scatter(distances, places, c=[_colour(line) for line in own], s=26, zorder=2)
    panel.set_xscale("log")
    panel.set_yticks(places, [line.method for line in own], fontsize=7.5)
    panel.invert_yaxis()
    panel.set_title(ask, loc="left", fontsize=10)
    panel.set_xlabel("distance on the forget set, retraining = 1", fontsize=8)
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right", "left"]].set_visible(False)


def _colour(line: Line) -> str:
    if line.method.startswith("("):
        return FLOOR_COLOUR
    return PASSED_COLOUR if line.num_passed == len(line.outcomes) else REFUSED_COLOUR


def _key() -> list[Line2D]:
    named = {
        "passed every audit": PASSED_COLOUR,
        "refused at least once": REFUSED_COLOUR,
        "no method": FLOOR_COLOUR,
    }
    return [
        Line2D([], [], marker="o", linestyle="", color=colour, label=name) for name, colour in named.items()
    ]
