"""How sure the model is of the forgotten, the unseen and the kept, before and after: three histograms.

What was forgotten should come to look like what was never seen; what is kept should stay as it was.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from service.core.reports import words
from service.core.reports.drawing import histogram, svg
from service.core.reports.drawing.legend import HEIGHT as LEGEND
from service.core.reports.drawing.legend import legend
from service.core.reports.drawing.scale import Scale
from service.core.reports.drawing.svg import Drawing
from service.core.reports.numbers import MINUS, counted

TICKS = (-10.0, -5.0, 0.0, 5.0, 10.0)
NUM_TICKS = 4
WITHHELD = " What was forgotten is not drawn: so few samples could be recognised by it."
TEXT, PLOT, GAP, AXIS = 40, 84, 18, 44
"""Heights in pixels: a panel's two lines, its histograms, what parts it from the next, and the axis below."""


def scores(audit: Mapping[str, Any]) -> Drawing | None:
    """Draw the histograms of an audit's report; None where it has none."""
    given = audit.get("histograms") or {}
    edges: Sequence[float] = given.get("bin_edges") or ()
    before, after = given.get("before") or {}, given.get("after") or {}
    sets = [
        (title, before[name], after[name])
        for name, title in words.SETS.items()
        if name in before and name in after and histogram.is_drawable(edges, before[name], after[name])
    ]
    sets = [(title, old, new) for title, old, new in sets if sum(old) or sum(new)]
    if not sets:
        return None
    scale = Scale(edges[0], edges[-1], 0.5, 99.5)
    height = LEGEND + len(sets) * (TEXT + PLOT + GAP) - GAP
    ticks = _ticks(edges[0], edges[-1])
    grid = "".join(svg.line(scale.at(tick), LEGEND + TEXT, scale.at(tick), height, "grid") for tick in ticks)
    panels = "".join(
        _panel(LEGEND + place * (TEXT + PLOT + GAP), edges, title, old, new)
        for place, (title, old, new) in enumerate(sets)
    )
    return Drawing(
        name="scores",
        title="How sure the model is",
        lead="Right of zero the model holds the true class for more likely than not. What was forgotten "
        "should look like what was never seen; what is kept should stay."
        + ("" if "forget" in after else WITHHELD),
        description=" ".join(_seen(edges, *one) for one in sets),
        height=height + AXIS,
        markup=legend([("outline", "before", "before"), ("solid", "after", "after")], (0, 26))
        + grid
        + panels
        + _axis(scale, ticks, height, str(given.get("quantity") or "confidence")),
    )


def _panel(y: int, edges: Sequence[float], title: str, old: Sequence[int], new: Sequence[int]) -> str:
    base = y + TEXT + PLOT
    tallest = max([*old, *new])
    return (
        svg.text(title, x=0, y=y + 14, class_="name")
        + svg.text(f"tallest bar: {tallest:,} of {counted(sum(new), 'sample')}", x=0, y=y + 31)
        + histogram.pair(edges, new, old, (0.5, y + TEXT, 99, PLOT))
        + svg.line(0, base, 100, base, "axis")
    )


def _axis(scale: Scale, ticks: Sequence[float], y: int, quantity: str) -> str:
    drawn = "".join(
        svg.line(scale.at(tick), y, scale.at(tick), y + 5, "axis")
        + svg.text(_signed(tick), x=svg.across(scale.at(tick)), y=y + 19, class_=_anchor(scale.at(tick)))
        for tick in ticks
    )
    return drawn + svg.text(
        f"surely wrong \N{LEFTWARDS ARROW} {quantity} \N{RIGHTWARDS ARROW} surely right",
        x="50%", y=y + 38, class_="middle",
    )  # fmt: skip


def _ticks(low: float, high: float) -> list[float]:
    usual = [tick for tick in TICKS if low <= tick <= high]
    is_fine = len(usual) > 2
    return usual if is_fine else [low + (high - low) * place / NUM_TICKS for place in range(NUM_TICKS + 1)]


def _anchor(place: float) -> str:
    return "middle" if 3 < place < 97 else "end" if place >= 97 else ""


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", MINUS) if value else "0"


def _seen(edges: Sequence[float], title: str, old: Sequence[int], new: Sequence[int]) -> str:
    """Say where the middles of both histograms lie."""
    return f"{title}: the middle goes from {_middle(edges, old)} to {_middle(edges, new)}."


def _middle(edges: Sequence[float], counts: Sequence[int]) -> str:
    total = 0
    for place, count in enumerate(counts):
        total += count
        if 2 * total >= sum(counts) > 0:
            return _signed((edges[place] + edges[place + 1]) / 2)
    return "nowhere"
