"""The checks of an audit as lines: what each asserts, its number, its interval, its limit, how it came out.

The numbers come as JSON from a worker, perhaps of another release: what is absent is left out, not made up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.core.reports import words
from service.core.reports.drawing.range_bar import RangeBar, Sense, range_bar
from service.core.reports.numbers import decimal
from service.core.reports.words import Label


@dataclass(frozen=True)
class CheckLine:
    """One check.

    Attributes:
        title: What it asserts.
        detail: One sentence: sizes, the worst place, what it could have noticed.
        value: The measured number.
        interval: Where it lies in 95 % of cases, if it is a statistic.
        limit: In words, e.g. `at most 0.05`.
        outcome: How it came out.
        bar: All of this on a line.
        is_undecided: Whether it concerns the claim and could not tell.
    """

    title: str
    detail: str
    value: float
    interval: tuple[float, float] | None
    limit: str | None
    outcome: Label
    bar: RangeBar
    is_undecided: bool


def lines(audit: Mapping[str, Any]) -> tuple[CheckLine, ...]:
    """Read the checks of an audit's report, in its order."""
    return tuple(map(_line, audit["checks"]))


def _line(check: Mapping[str, Any]) -> CheckLine:
    title, sense = words.check(check["name"])
    low_high = check["interval"]
    is_gate = check.get("is_gate", True) and not check.get("is_outranked", False)
    interval = (low_high[0], low_high[1]) if low_high else None
    return CheckLine(
        title=title,
        detail=check["detail"],
        value=check["value"],
        interval=interval,
        limit=_limit(check["threshold"], sense),
        outcome=words.outcome(
            is_passed=check["passed"],
            is_decided=check.get("is_decided", True),
            is_gate=is_gate,
        ),
        bar=range_bar(check["value"], interval, check["threshold"], sense),
        is_undecided=is_gate and not check.get("is_decided", True),
    )


def _limit(threshold: float | None, sense: Sense | None) -> str | None:
    if threshold is None:
        return None
    if sense is Sense.NEAR_HALF:
        low, high = sorted((threshold, 1 - threshold))
        return f"{decimal(low)} to {decimal(high)}"
    return f"{sense} {decimal(threshold)}" if sense else decimal(threshold)
