"""What a page shows of one audit: its verdict, each check as a line, and the drawings of before and after.

The numbers come as JSON from a worker, perhaps of another release: what is absent is left out, not made up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.dashboard import words
from service.dashboard.charts.comparison import Bar, bar
from service.dashboard.charts.dumbbell import Dumbbell, dumbbells
from service.dashboard.charts.histogram import Panel, Tick, panel, ticks
from service.dashboard.charts.range_bar import RangeBar, Sense, range_bar
from service.dashboard.figures import decimal
from service.dashboard.words import Label

SETS = {"forget": "To forget", "unseen": "Never seen, same classes", "retain": "To keep"}
TICKS = (-10.0, -5.0, 0.0, 5.0, 10.0)


@dataclass(frozen=True)
class CheckLine:
    """One check."""

    title: str
    detail: str
    value: float
    interval: tuple[float, float] | None
    limit: str | None
    """In words, e.g. `at most 0.05`."""
    outcome: Label
    bar: RangeBar


@dataclass(frozen=True)
class Comparison:
    """One number before and after, with what it should be."""

    title: str
    meaning: str
    before: Bar | None
    after: Bar | None
    is_attack: bool
    """Whether one half, not zero or one, is where nothing is known."""


@dataclass(frozen=True)
class Histograms:
    """How sure the model is, set by set."""

    quantity: str
    panels: tuple[Panel, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class AuditPage:
    """One audit."""

    suite: str
    verdict: Label
    meaning: str
    seconds: float | None
    checks: tuple[CheckLine, ...]
    comparisons: tuple[Comparison, ...]
    classes: tuple[Dumbbell, ...]
    histograms: Histograms | None


def read(audit: Mapping[str, Any]) -> AuditPage:
    """Read an audit's report."""
    before, after = audit.get("before") or {}, audit.get("after") or {}
    verdict, meaning = words.verdict(audit["verdict"])
    return AuditPage(
        suite=audit["suite"],
        verdict=verdict,
        meaning=meaning,
        seconds=audit.get("seconds"),
        checks=tuple(map(_check, audit["checks"])),
        comparisons=_comparisons(before, after),
        classes=dumbbells(before.get("per_class", ()), after.get("per_class", ())),
        histograms=_histograms(audit.get("histograms") or {}),
    )


def _check(check: Mapping[str, Any]) -> CheckLine:
    title, sense = words.check(check["name"])
    low_high = check["interval"]
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
            is_gate=check.get("is_gate", True),
        ),
        bar=range_bar(check["value"], interval, check["threshold"], sense),
    )


def _limit(threshold: float | None, sense: Sense | None) -> str | None:
    if threshold is None:
        return None
    if sense is Sense.NEAR_HALF:
        low, high = sorted((threshold, 1 - threshold))
        return f"{decimal(low)} to {decimal(high)}"
    return f"{sense} {decimal(threshold)}" if sense else decimal(threshold)


def _comparisons(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Comparison, ...]:
    lines = [
        Comparison(title, meaning, _bar(before.get(name)), _bar(after.get(name)), name == "membership_auc")
        for name, (title, meaning) in words.NUMBERS.items()
    ]
    return tuple(line for line in lines if line.before or line.after)


def _bar(number: float | Mapping[str, Any] | None) -> Bar | None:
    """Draw a plain share, or `{value, interval}`."""
    if number is None:
        return None
    if isinstance(number, Mapping):
        low, high = number["interval"]
        return bar(number["value"], (low, high))
    return bar(number)


def _histograms(given: Mapping[str, Any]) -> Histograms | None:
    edges: Sequence[float] = given.get("bin_edges", ())
    before, after = given.get("before"), given.get("after")
    if not edges or not before or not after:
        return None
    panels = (
        panel(SETS[name], edges, before[name], after[name])
        for name in SETS
        if name in before and name in after
    )
    return Histograms(
        quantity=given["quantity"],
        panels=tuple(one for one in panels if one.num_samples),
        ticks=ticks(edges, TICKS),
    )
