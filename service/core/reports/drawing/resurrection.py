"""How much of a forgotten class comes back with little effort, beside what is usual and what masking hides.

For each class and probe: the candidate (solid), the old model behind an output mask (the class is all there,
only hidden), and the band of models that never saw a class. A candidate that forgot lies in the band; one
that only hides lies with the mask. A probe with one point is drawn as marks, one with several as curves.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from service.core.reports import words
from service.core.reports.drawing import svg
from service.core.reports.drawing.legend import HEIGHT as LEGEND
from service.core.reports.drawing.legend import legend
from service.core.reports.drawing.scale import SHARES, Scale, around
from service.core.reports.drawing.svg import Drawing
from service.core.reports.numbers import MINUS, counted, decimal, percent

RESCUE = "rescue"
MOST_CLASSES = 6
QUANTITY_CHARS = 52
MOST_TICKS = 8
HEADING, NAME, PLOT, AXIS, GAP = 30, 30, 104, 42, 18
"""Heights in pixels: a class's name, a probe's name, its plot, the axis below, what parts two probes."""
START, END = 13.0, 97.0
BAND = 5.0
"""Width of the band of a probe with one point, in per cent."""

Probe = Mapping[str, Any]


def resurrection(audit: Mapping[str, Any]) -> Drawing | None:
    """Draw the probes of an audit's report; None where there are none."""
    found = [(str(one["class"]), _drawable(one["probes"])) for one in audit.get("resurrection") or ()]
    found = [(label, probes) for label, probes in found if probes]
    if not found:
        return None
    shown = sorted(found, key=lambda one: -max(max(probe["candidate"]) for probe in one[1]))[:MOST_CLASSES]
    rest = len(found) - len(shown)
    more = f" {counted(rest, 'more class', 'more classes')} came back less." if rest else ""
    has_band = any(probe.get("reference") for _, probes in shown for probe in probes)
    marks = [("dot", "after", "this version"), ("diamond", "masked", "only masked")]
    marks += [("band", "band", "never saw it")] if has_band else []
    y, parts = LEGEND, [legend(marks, (0, 33, 66))]
    for label, probes in shown:
        parts.append(svg.text(f"Class {label}", x=0, y=y + 20, class_="heading"))
        y += HEADING
        for probe in probes:
            parts.append(_panel(probe, y))
            y += NAME + PLOT + AXIS + GAP
    return Drawing(
        name="resurrection",
        title="How much of it comes back with little effort",
        lead="What was forgotten should come back no more than in models that never saw it. Where it comes "
        f"back as in the masked model, it was only hidden.{more}",
        description=" ".join(_seen(label, probe) for label, probes in shown for probe in probes) + more,
        height=y - GAP,
        markup="".join(parts),
    )


def _drawable(probes: Sequence[Probe]) -> list[Probe]:
    """Return the probes whose curves have a finite value at every point."""
    return [probe for probe in probes if _fits(probe["points"], probe["candidate"], probe["masked"])]


def _fits(points: Sequence[float], *curves: Sequence[float]) -> bool:
    return len(points) > 0 and all(
        len(curve) == len(points) and all(map(math.isfinite, curve)) for curve in (points, *curves)
    )


def _panel(probe: Probe, y: float) -> str:
    title, axis = words.probe(probe["name"])
    points, low, high = probe["points"], *_band(probe)
    values = [*probe["candidate"], *probe["masked"], *low, *high]
    up = SHARES if all(0 <= value <= 1 for value in values) else around(values)
    places = _places(len(points))
    top = y + NAME
    bottom = top + PLOT

    def heights(values: Sequence[float]) -> list[float]:
        return [round(bottom - PLOT * up.at(value) / 100, 2) for value in values]

    ticks = [up.low, (up.low + up.high) / 2, up.high]
    grid = "".join(
        svg.line(START, at, END, at, "grid") + svg.text(_value(tick, up), x=0, y=at + 4)
        for tick, at in zip(ticks, heights(ticks), strict=True)
    )
    return (
        svg.text(f"{title}", x=0, y=y + 14, class_="name")
        + grid
        + _area(places, heights(low), heights(high))
        + _curve(places, heights(probe["masked"]), "masked", is_diamond=True)
        + _curve(places, heights(probe["candidate"]), "after")
        + _below(probe, places, bottom, axis)
    )


def _places(number: int) -> list[float]:
    """Return places at equal distances: points are often closer to each other at one end."""
    if number == 1:
        return [(START + END) / 2]
    return [round(START + (END - START) * place / (number - 1), 2) for place in range(number)]


def _band(probe: Probe) -> tuple[Sequence[float], Sequence[float]]:
    given = probe.get("reference") or {}
    low, high = given.get("low") or (), given.get("high") or ()
    return (low, high) if _fits(probe["points"], low, high) else ((), ())


def _area(places: Sequence[float], low: Sequence[float], high: Sequence[float]) -> str:
    """Fill what lies between two curves; around a single point, a bar."""
    if not low:
        return ""
    if len(places) == 1:
        return svg.rect(places[0] - BAND, high[0], 2 * BAND, max(low[0] - high[0], 2), "band")
    top, height = min(high), max(max(low) - min(high), 1.0)
    forth = [(place, at) for place, at in zip(places, high, strict=True)]
    back = [(place, at) for place, at in zip(places, low, strict=True)][::-1]
    way = " L".join(
        f"{100 * (place - places[0]) / (places[-1] - places[0]):.2f} {100 * (at - top) / height:.2f}"
        for place, at in (*forth, *back)
    )
    return svg.stretch(places[0], top, places[-1] - places[0], height, svg.path(f"M{way} Z", "band"))


def _curve(places: Sequence[float], heights: Sequence[float], kind: str, *, is_diamond: bool = False) -> str:
    ways = "".join(
        svg.line(places[i], heights[i], places[i + 1], heights[i + 1], f"curve {kind}")
        for i in range(len(places) - 1)
    )
    chosen = {*_spread(len(places))}
    mark = svg.diamond if is_diamond else svg.dot
    marks = (mark(places[i], heights[i], kind) for i in range(len(places)) if i in chosen)
    return ways + "".join(marks)


def _below(probe: Probe, places: Sequence[float], y: float, axis: str) -> str:
    points = probe["points"]
    is_share = probe["name"] == RESCUE and all(0 <= point <= 1 for point in points)
    ticks = "".join(
        svg.text(
            f"{points[i]:.0%}" if is_share else _point(points[i]),
            x=svg.across(places[i]), y=y + 18, class_="middle",
        )
        for i in _spread(len(points))
    )  # fmt: skip
    said = axis or textwrap.shorten(str(probe.get("quantity") or "share"), QUANTITY_CHARS)
    return ticks + svg.text(said, x="50%", y=y + 36, class_="middle")


def _spread(number: int) -> list[int]:
    """Return some places among many, the first and the last among them."""
    if number <= MOST_TICKS:
        return list(range(number))
    return sorted({round(i * (number - 1) / (MOST_TICKS - 1)) for i in range(MOST_TICKS)})


def _value(value: float, scale: Scale) -> str:
    return f"{value:.0%}" if scale == SHARES else decimal(value)


def _point(value: float) -> str:
    return f"{value:.4g}".replace("-", MINUS)


def _seen(label: str, probe: Probe) -> str:
    _, high = _band(probe)
    band = f"; models that never saw it: up to {percent(max(high))}" if high else ""
    return (
        f"Class {label}, {words.probe(probe['name'])[0].lower()}: up to {percent(max(probe['candidate']))} "
        f"comes back; only masked: up to {percent(max(probe['masked']))}{band}."
    )
