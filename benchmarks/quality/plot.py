"""Draws each kind of request as a field: what a method costs against how far it stays from retraining."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.quality.tables import Line

PASSED_COLOUR, REFUSED_COLOUR, FLOOR_COLOUR = "#1f6f8b", "#d97b29", "#555555"
LOWEST_COST = 1e-3  # of retraining; what is cheaper is drawn here


def draw(found: Mapping[str, Sequence[Line]], title: str, path: Path) -> None:
    """Draw one panel a kind of request and write the picture.

    Args:
        found: the lines of each kind.
        title: of the whole.
        path: ends in .png or .svg.
    """
    num_columns = 2
    num_rows = -(-len(found) // num_columns)
    figure, panels = plt.subplots(num_rows, num_columns, figsize=(12, 4.2 * num_rows), squeeze=False)
    for panel in panels.flat[len(found) :]:
        panel.set_axis_off()
    for panel, (ask, own) in zip(panels.flat, found.items(), strict=False):
        _panel(panel, ask, [line for line in own if line.measured])
    figure.suptitle(title, x=0.01, ha="left")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(panel: Axes, ask: str, own: Sequence[Line]) -> None:
    panel.axhline(1.0, color=FLOOR_COLOUR, linewidth=1, linestyle="--")
    placed: list[tuple[float, float]] = []
    for line in own:
        cost, far = max(line.cost, LOWEST_COST), max(line.distance, 1e-2)
        colour = PASSED_COLOUR if line.num_passed == len(line.outcomes) else REFUSED_COLOUR
        is_floor = line.method.startswith("(")
        panel.plot(
            cost, far, "s" if is_floor else "o", color=FLOOR_COLOUR if is_floor else colour, markersize=4
        )
        panel.annotate(
            line.method,
            (cost, far),
            xytext=(4, _lift(placed, cost, far)),
            textcoords="offset points",
            fontsize=6.5,
            color=FLOOR_COLOUR if is_floor else colour,
        )
        placed.append((cost, far))
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_title(ask, loc="left", fontsize=10)
    panel.set_xlabel("cost, share of retraining")
    panel.set_ylabel("distance on the forget set, retraining = 1")
    panel.spines[["top", "right"]].set_visible(False)


def _lift(placed: Sequence[tuple[float, float]], cost: float, far: float) -> float:
    """Return how far a label is moved off those of its neighbours, in points."""
    near = sum(
        abs(math.log10(cost / other)) < 0.35 and abs(math.log10(far / height)) < 0.06
        for other, height in placed
    )
    return 3.0 - 7.0 * near
