"""How sure a model is of some samples, before and after: two histograms on one axis."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from service.dashboard.charts.scale import Scale

HEIGHT = 72
"""Of the tallest bar, in pixels."""


@dataclass(frozen=True)
class Column:
    """One bin.

    Attributes:
        start: In per cent of the width.
        width: Likewise.
        height: In pixels from the base line.
    """

    start: float
    width: float
    height: float


@dataclass(frozen=True)
class Stroke:
    """A piece of an outline.

    Attributes:
        x1: Where it begins, in per cent of the width.
        x2: Where it ends.
        y1: Its height there, in pixels from the base line.
        y2: And there.
    """

    x1: float
    x2: float
    y1: float
    y2: float


@dataclass(frozen=True)
class Tick:
    """A place on the axis and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Panel:
    """The histograms of one set of samples.

    Attributes:
        title: Of the set of samples.
        num_samples: How many samples there are.
        before: Outline of the bins under the old version.
        after: Bins under the new one; empty ones are left out.
    """

    title: str
    num_samples: int
    before: tuple[Stroke, ...]
    after: tuple[Column, ...]


def panel(title: str, edges: Sequence[float], before: Sequence[int], after: Sequence[int]) -> Panel:
    """Draw one set; both histograms share the height of the tallest bin.

    Args:
        title: Of the set.
        edges: Ascending bounds of the bins, one more than there are bins.
        before: Counts under the old version.
        after: Counts under the new one.
    """
    tallest = max([*before, *after, 1])
    return Panel(
        title=title,
        num_samples=sum(after),
        before=_outline(_columns(edges, before, tallest)),
        after=tuple(column for column in _columns(edges, after, tallest) if column.height),
    )


def ticks(edges: Sequence[float], values: Sequence[float]) -> tuple[Tick, ...]:
    """Place the values that lie on the axis."""
    scale = Scale(edges[0], edges[-1])
    return tuple(
        Tick(scale.at(value), f"{value:+g}".replace("-", "\N{MINUS SIGN}") if value else "0")
        for value in values
        if edges[0] <= value <= edges[-1]
    )


def _columns(edges: Sequence[float], counts: Sequence[int], tallest: int) -> tuple[Column, ...]:
    """Draw every bin, empty ones too."""
    scale = Scale(edges[0], edges[-1])
    return tuple(
        Column(
            start=scale.at(low),
            width=round(scale.at(high) - scale.at(low), 2),
            height=round(HEIGHT * count / tallest, 1),
        )
        for (low, high), count in zip(itertools.pairwise(edges), counts, strict=True)
    )


def _outline(columns: Sequence[Column]) -> tuple[Stroke, ...]:
    """Draw the steps over the bins and the risers between them; the base line is left out."""
    tops = [
        Stroke(each.start, round(each.start + each.width, 2), each.height, each.height)
        for each in columns
        if each.height
    ]
    heights = [0.0, *(each.height for each in columns), 0.0]
    edges = [*(each.start for each in columns), 100.0]
    risers = [
        Stroke(edge, edge, left, right)
        for edge, (left, right) in zip(edges, itertools.pairwise(heights), strict=True)
        if left != right
    ]
    return tuple(tops + risers)
