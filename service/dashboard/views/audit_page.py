"""What a page shows of one audit: its verdict, each check as a line, and the drawings of its report.

The numbers come as JSON from a worker, perhaps of another release: what is absent is left out, not made up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from markupsafe import Markup

from service.core.reports import checks, plots, words
from service.core.reports.checks import CheckLine
from service.core.reports.words import Label
from service.dashboard.charts.comparison import Bar, bar


@dataclass(frozen=True)
class Line:
    """One check, with its numbers drawn."""

    check: CheckLine

    @property
    def bar(self) -> Markup:
        """Its value, interval and limit on a line."""
        return Markup(self.check.bar.draw(self.check.outcome.tone))  # noqa: S704 - drawn from numbers


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
class Plot:
    """A drawing with what is said of it."""

    name: str
    title: str
    lead: str
    svg: Markup


@dataclass(frozen=True)
class AuditPage:
    """One audit."""

    suite: str
    verdict: Label
    meaning: str
    seconds: float | None
    checks: tuple[Line, ...]
    comparisons: tuple[Comparison, ...]
    report: Mapping[str, Any]

    @cached_property
    def plots(self) -> tuple[Plot, ...]:
        """The drawings, made when a page shows them: of all rungs one does."""
        return tuple(
            Plot(one.name, one.title, one.lead, Markup(one.inline()))  # noqa: S704 - its texts are escaped
            for one in plots.drawings(self.report)
        )


def read(audit: Mapping[str, Any]) -> AuditPage:
    """Read an audit's report."""
    before, after = audit.get("before") or {}, audit.get("after") or {}
    verdict, meaning = words.verdict(audit["verdict"])
    return AuditPage(
        suite=audit["suite"],
        verdict=verdict,
        meaning=meaning,
        seconds=audit.get("seconds"),
        checks=tuple(map(Line, checks.lines(audit))),
        comparisons=_comparisons(before, after),
        report=audit,
    )


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
