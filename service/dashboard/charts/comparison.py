"""One share before and after: two bars, with the interval of each where there is one."""

from dataclasses import dataclass

from service.core.reports.drawing.range_bar import Span
from service.core.reports.drawing.scale import SHARES


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        value: The share it stands for, in [0, 1].
        length: In per cent.
        interval: Where its interval lies.
    """

    value: float
    length: float
    interval: Span | None = None


def bar(value: float, interval: tuple[float, float] | None = None) -> Bar:
    """Draw a share."""
    if interval is None:
        return Bar(value, SHARES.at(value))
    start, end = SHARES.at(interval[0]), SHARES.at(interval[1])
    return Bar(value, SHARES.at(value), Span(start, round(end - start, 2)))
