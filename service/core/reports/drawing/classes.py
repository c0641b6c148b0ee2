"""Every class before and after: its accuracy as two dots and the way between them.

A drawing with a thousand lines shows nothing, so MOST are drawn: of the forgotten classes those that are
recognised best still, and of the kept ones those that moved most; how far the others moved is said in words.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.core.reports.drawing import svg
from service.core.reports.drawing.legend import HEIGHT as LEGEND
from service.core.reports.drawing.legend import legend
from service.core.reports.drawing.scale import Scale
from service.core.reports.drawing.svg import Drawing
from service.core.reports.numbers import counted, percent

MOST = 30
MOST_FORGOTTEN = MOST // 2
NAME_CHARS = 14
ROW, AXIS = 22, 44
SCALE = Scale(0.0, 1.0, 28.0, 68.0)
TICKS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class ClassChange:
    """One class.

    Attributes:
        label: The class.
        num_samples: How many samples it was measured on.
        is_forgotten: Whether the new model should no longer know it.
        before: Accuracy of the old model, as a share.
        after: Accuracy of the new one.
    """

    label: str
    num_samples: int
    is_forgotten: bool
    before: float
    after: float

    @property
    def moved(self) -> float:
        """How far."""
        return abs(self.after - self.before)


def classes(audit: Mapping[str, Any]) -> Drawing | None:
    """Draw the classes that an audit's report measured both times; None where there are none."""
    measured = changes(
        (audit.get("before") or {}).get("per_class") or (), (audit.get("after") or {}).get("per_class") or ()
    )
    if not measured:
        return None
    drawn, rest = _most_telling(measured)
    bottom = LEGEND + ROW * len(drawn)
    word = "forgotten" if audit.get("verdict") == "pass" else "to forget"
    rows = "".join(_row(each, LEGEND + ROW * place + ROW / 2, word) for place, each in enumerate(drawn))
    return Drawing(
        name="classes",
        title="Accuracy of each class",
        lead=f"On {_samples(measured)} held out from training. {_wanted(measured)}{_rest(rest)}",
        description="; ".join(_seen(each, word) for each in drawn) + "." + _rest(rest),
        height=bottom + AXIS,
        markup=legend(
            [("dot", "before", "before"), ("dot", "after", "after")], (SCALE.start, SCALE.start + 24)
        )
        + "".join(svg.line(SCALE.at(tick), LEGEND, SCALE.at(tick), bottom, "grid") for tick in TICKS)
        + rows
        + _axis(bottom),
    )


def changes(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> tuple[ClassChange, ...]:
    """Return the classes that were measured both times, with a finite share.

    Args:
        before: `{class, num_samples, accuracy, is_forgotten}` of each class under the old version.
        after: The same under the new one.
    """
    old = {row["class"]: row["accuracy"] for row in before if _is_measured(row)}
    return tuple(
        ClassChange(
            str(row["class"]), row["num_samples"], row["is_forgotten"], old[row["class"]], row["accuracy"]
        )
        for row in after
        if row["class"] in old and _is_measured(row)
    )


def _is_measured(row: Mapping[str, Any]) -> bool:
    return row["accuracy"] is not None and math.isfinite(row["accuracy"])


def _most_telling(measured: Sequence[ClassChange]) -> tuple[list[ClassChange], list[ClassChange]]:
    """Return what is drawn and what is not, both in their first order."""
    gone = sorted((each for each in measured if each.is_forgotten), key=lambda each: -each.after)
    kept = sorted((each for each in measured if not each.is_forgotten), key=lambda each: -each.moved)
    shown = gone[:MOST_FORGOTTEN] + kept
    shown = [*shown[:MOST], *gone[MOST_FORGOTTEN:]][:MOST]
    chosen = {*shown}
    return [each for each in measured if each in chosen], [each for each in measured if each not in chosen]


def _row(each: ClassChange, y: float, word: str) -> str:
    kind = " gone" if each.is_forgotten else ""
    before, after = SCALE.at(each.before), SCALE.at(each.after)
    name = (
        each.label
        if len(each.label) <= NAME_CHARS
        else f"{each.label[: NAME_CHARS - 1]}\N{HORIZONTAL ELLIPSIS}"
    )
    return svg.element(
        "g",
        svg.text(f"{name} {word}" if each.is_forgotten else name, x=0, y=y + 4, class_=f"name{kind}")
        + svg.line(SCALE.start, y, SCALE.end, y, "track")
        + svg.rect(min(before, after), y - 1.5, abs(after - before), 3, f"way{kind}")
        + svg.dot(before, y, f"before{kind}")
        + svg.dot(after, y, f"after{kind}")
        + svg.text(
            f"{percent(each.before)} \N{RIGHTWARDS ARROW} {percent(each.after)}",
            x="100%", y=y + 4, class_="end number",
        ),
        class_="class-row",
    )  # fmt: skip


def _axis(y: float) -> str:
    return (
        svg.line(SCALE.start, y, SCALE.end, y, "axis")
        + "".join(
            svg.text(f"{tick:.0%}", x=svg.across(SCALE.at(tick)), y=y + 17, class_="middle") for tick in TICKS
        )
        + svg.text("accuracy", x=svg.across(SCALE.at(0.5)), y=y + 36, class_="middle")
    )


def _samples(measured: Sequence[ClassChange]) -> str:
    return counted(sum(each.num_samples for each in measured), "sample")


def _wanted(measured: Sequence[ClassChange]) -> str:
    if any(each.is_forgotten for each in measured):
        return "A forgotten class should fall to nothing, the others should stay."
    return "Every class should stay where it was."


def _rest(rest: Sequence[ClassChange]) -> str:
    if not rest:
        return ""
    farthest = max(each.moved for each in rest)
    return f" {counted(len(rest), 'more class', 'more classes')} moved by at most {percent(farthest)}."


def _seen(each: ClassChange, word: str) -> str:
    return (
        f"class {each.label}{f', {word}' if each.is_forgotten else ''}: {percent(each.before)} before, "
        f"{percent(each.after)} after, on {counted(each.num_samples, 'sample')}"
    )
