"""From values to places: a linear scale whose places are per cent of a drawing's width.

SVG accepts per cent in x, width and cx, so a drawing stretches with the page while strokes and dots keep
their size.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

HEADROOM = 1.08


@dataclass(frozen=True)
class Scale:
    """A linear scale; what lies outside is drawn at the edge.

    Attributes:
        low: Value at `start`.
        high: Value at `end`, above `low`.
        start: Place of the lowest value, in per cent.
        end: Place of the highest.
    """

    low: float
    high: float
    start: float = 0.0
    end: float = 100.0

    def at(self, value: float) -> float:
        """Return where a value stands, in [start, end], to a hundredth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + (self.end - self.start) * min(1.0, max(0.0, share)), 2)


SHARES = Scale(0.0, 1.0)


def around(values: Iterable[float | None]) -> Scale:
    """Return a scale that shows zero and every finite value, with a little room beyond them."""
    shown = [value for value in values if value is not None and math.isfinite(value)]
    low, high = min([0.0, *shown]), max([0.0, *shown])
    return Scale(low * HEADROOM, high * HEADROOM) if high > low else Scale(0.0, 1.0)
