"""A measured number on a line: a dot, its interval as a bar, its limit as a tick, what lies beyond shaded."""

from dataclasses import dataclass
from enum import StrEnum

from service.core.reports.drawing import svg
from service.core.reports.drawing.scale import SHARES, around

HEIGHT = 20


class Sense(StrEnum):
    """On which side of its limit a value should lie."""

    AT_MOST = "at most"
    AT_LEAST = "at least"
    NEAR_HALF = "near one half"
    """The limit is as far from 1/2 on either side."""


@dataclass(frozen=True)
class Span:
    """A stretch of the line, in per cent."""

    start: float
    length: float


@dataclass(frozen=True)
class RangeBar:
    """Places on the line, in per cent.

    Attributes:
        dot: The value.
        interval: Its interval, if it has one.
        limits: The threshold, or both.
        beyond: What lies beyond the limits.
        origin: Where nothing would be: zero, or one half.
    """

    dot: float
    interval: Span | None
    limits: tuple[float, ...]
    beyond: tuple[Span, ...]
    origin: float

    def draw(self, tone: str) -> str:
        """Return it as SVG; the numbers stand beside it as text, so it tells a screen reader nothing.

        Args:
            tone: Class of the outcome in the style sheet.
        """
        middle = HEIGHT / 2
        parts = [svg.line(0, middle, 100, middle, "track")]
        parts += [svg.rect(span.start, 3, span.length, 14, "beyond") for span in self.beyond]
        parts += [svg.line(self.origin, 6, self.origin, 14, "origin")]
        if self.interval:
            parts += [svg.rect(self.interval.start, 7, self.interval.length, 6, "interval", rx=3)]
        parts += [svg.line(limit, 2, limit, 18, "limit") for limit in self.limits]
        parts += [svg.dot(self.dot, middle, "mark", 4)]
        return svg.element(
            "svg", "".join(parts), class_=f"drawing on-line {tone}", width="100%", height=HEIGHT,
            aria_hidden="true", focusable="false",
        )  # fmt: skip


def range_bar(
    value: float, interval: tuple[float, float] | None, threshold: float | None, sense: Sense | None
) -> RangeBar:
    """Place a value, its interval and its limit; without a known sense nothing is shaded."""
    scale = SHARES if sense is Sense.NEAR_HALF else around((value, *(interval or ()), threshold))
    limits: tuple[float, ...] = () if threshold is None else (scale.at(threshold),)
    if sense is Sense.NEAR_HALF and threshold is not None:
        limits = tuple(sorted((scale.at(threshold), scale.at(1 - threshold))))
    return RangeBar(
        dot=scale.at(value),
        interval=_span(scale.at(interval[0]), scale.at(interval[1])) if interval else None,
        limits=limits,
        beyond=_beyond(limits, sense),
        origin=scale.at(0.5 if sense is Sense.NEAR_HALF else 0.0),
    )


def _beyond(limits: tuple[float, ...], sense: Sense | None) -> tuple[Span, ...]:
    if sense is None or not limits:
        return ()
    if sense is Sense.AT_MOST:
        return (_span(limits[0], 100.0),)
    if sense is Sense.AT_LEAST:
        return (_span(0.0, limits[0]),)
    return _span(0.0, limits[0]), _span(limits[1], 100.0)


def _span(start: float, end: float) -> Span:
    return Span(start, round(end - start, 2))
