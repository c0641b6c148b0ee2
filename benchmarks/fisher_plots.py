"""Draws what one code a class is worth: forgetting by it, and its Fisher beside that of all images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.outcomes import interval

ALL, CODES, ZEROS = "all", "code", "zeros"
RETAINED_COLOUR, ERROR_COLOUR, QUIET_COLOUR = "#1f6f8b", "#d97b29", "#555555"


@dataclass(frozen=True)
class Point:
    """One class of one seed, with one kind of Fisher.

    Attributes:
        kind: number of images a class as text, ALL, CODES or ZEROS.
        with_codes: whether the network was trained with codes.
        distance: L2 to the Fisher from all images of the same network, over the number of parameters.
        cosine: with that Fisher; NaN for zeros.
        retained: A_R after forgetting by it; NaN if that was not tried.
        error: E_F likewise.
    """

    kind: str
    with_codes: bool
    distance: float
    cosine: float
    retained: float
    error: float


def draw_forgetting(found: Sequence[Point], sizes: Sequence[str], title: str, path: Path) -> None:
    """Draw figure 4: A_R and E_F over the number of images, those of the codes dotted."""
    figure, axes = plt.subplots(figsize=(6.0, 3.8))
    for key, colour, name in (("retained", RETAINED_COLOUR, "A_R"), ("error", ERROR_COLOUR, "E_F")):
        line(axes, found, (*sizes, ALL), key, colour, f"{name}, n images a class", scale=100)
        level(axes, found, CODES, True, key, colour, f"{name}, one code a class", ":", scale=100)
    lowest = min(each for key in ("retained", "error") for each in means_of(found, key))
    axes.set_ylim(max(0.0, 100 * lowest - 8), 102)
    axes.set_ylabel("%")
    axes.set_title(f"{title}: forgetting by the paper's rule", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    save(figure, axes, path)


def draw_distance(found: Sequence[Point], sizes: Sequence[str], title: str, path: Path) -> None:
    """Draw figure 5, the distances, with the cosine beside it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9))
    line(left, found, sizes, "distance", RETAINED_COLOUR, "n images a class")
    level(left, found, ZEROS, False, "distance", RETAINED_COLOUR, "zeros, same network", "--")
    level(left, found, CODES, True, "distance", ERROR_COLOUR, "one code a class, network with codes", "-")
    level(left, found, ZEROS, True, "distance", QUIET_COLOUR, "zeros, network with codes", (0, (2, 5)))
    left.set_yscale("log")
    left.set_ylabel("L2 distance / number of parameters")
    left.set_title(f"{title}: distance to the Fisher from all images", loc="left", fontsize=10)
    line(right, found, sizes, "cosine", RETAINED_COLOUR, "n images a class")
    level(right, found, CODES, True, "cosine", ERROR_COLOUR, "one code a class, network with codes", "-")
    right.set_ylim(0, 1.05)
    right.set_title("cosine with it", loc="left", fontsize=10)
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8)
    save(figure, right, path, left)


def line(
    axes: Axes,
    found: Sequence[Point],
    kinds: Sequence[str],
    key: str,
    colour: str,
    label: str,
    scale: float = 1,
) -> None:
    """Draw one measure over the number of images, with its 95 % interval where there is one."""
    spreads = np.array([interval(values_of(found, kind, False, key)) for kind in kinds]) * scale
    places = range(len(kinds))
    axes.plot(places, spreads[:, 0], "o-", color=colour, label=label)
    axes.fill_between(places, *spreads[:, 1:].T.clip(min=0), color=colour, alpha=0.15, linewidth=0)
    axes.set_xticks(places, kinds)


def level(
    axes: Axes,
    found: Sequence[Point],
    kind: str,
    with_codes: bool,
    key: str,
    colour: str,
    label: str,
    style: str | tuple[int, tuple[int, int]],
    scale: float = 1,
) -> None:
    """Draw one measure that knows no number of images."""
    mean, _, _ = interval(values_of(found, kind, with_codes, key))
    axes.axhline(mean * scale, color=colour, linestyle=style, label=label)


def values_of(found: Sequence[Point], kind: str, with_codes: bool, key: str) -> list[float]:
    """Return one measure of all points of a kind."""
    return [getattr(each, key) for each in found if (each.kind, each.with_codes) == (kind, with_codes)]


def means_of(found: Sequence[Point], key: str) -> list[float]:
    """Return one measure's mean for each kind of Fisher that was forgotten by."""
    kinds = {(each.kind, each.with_codes) for each in found if each.kind != ZEROS}
    return [float(np.mean(values_of(found, *kind, key))) for kind in kinds]


def save(figure: Figure, axes: Axes, path: Path, *more: Axes) -> None:
    """Finish and write a figure."""
    for each in (axes, *more):
        each.spines[["top", "right"]].set_visible(False)
        each.set_xlabel("training images a class that the Fisher was taken on")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
