"""Histograms as paths on a field of 100 by 100: a solid one, and an outline that can lie over it.

Two histograms that are compared share their bins and the height of their tallest bin; which is solid and
which is outlined tells them apart, so that colour is not needed.
"""

import itertools
import math
from collections.abc import Sequence

from service.core.reports.drawing import svg
from service.core.reports.drawing.scale import Scale


def is_drawable(edges: Sequence[float], *counts: Sequence[float]) -> bool:
    """Whether the bins ascend, and every histogram has a finite count of at least 0 for each."""
    ascends = all(math.isfinite(high - low) and low < high for low, high in itertools.pairwise(edges))
    return len(edges) > 1 and ascends and all(_fits(edges, each) for each in counts)


def steps(edges: Sequence[float], counts: Sequence[float], tallest: float) -> str:
    """Return the way over the tops of the bins, from base line to base line.

    Args:
        edges: Ascending bounds of the bins, one more than there are bins.
        counts: Of each bin, at least 0.
        tallest: What has the full height, above 0.
    """
    scale = Scale(edges[0], edges[-1])
    way = [f"M{scale.at(edges[0]):g} 100"]
    for (low, high), count in zip(itertools.pairwise(edges), counts, strict=True):
        top = round(100 - 100 * count / tallest, 2)
        way.append(f"V{top:g}" if len(way) > 1 else f"L{scale.at(low):g} {top:g}")
        way.append(f"H{scale.at(high):g}")
    return " ".join([*way, "V100"])


def pair(
    edges: Sequence[float],
    solid: Sequence[float],
    outlined: Sequence[float],
    place: tuple[float, float, float, float],
    solid_class: str = "after",
    outlined_class: str = "before",
) -> str:
    """Draw two histograms of the same bins over each other.

    Args:
        edges: Ascending bounds of the bins.
        solid: Counts, or shares, of the solid one.
        outlined: Of the outlined one, in the same unit.
        place: x and width in per cent, y and height in pixels, as x, y, width, height.
        solid_class: Its class in the style sheet.
        outlined_class: Likewise.
    """
    tallest = max([*solid, *outlined], default=0) or 1
    paths = svg.path(f"{steps(edges, solid, tallest)} Z", solid_class)
    return svg.stretch(*place, paths + svg.path(steps(edges, outlined, tallest), f"outline {outlined_class}"))


def _fits(edges: Sequence[float], counts: Sequence[float]) -> bool:
    return len(counts) == len(edges) - 1 and all(math.isfinite(count) and count >= 0 for count in counts)
