"""Every class before and after: two dots and the way between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.dashboard.charts.scale import SHARES


@dataclass(frozen=True)
class Dumbbell:
    """One class.

    Attributes:
        label: The class.
        num_samples: How many samples it was measured on.
        is_forgotten: Whether the new version should no longer know it.
        before: Accuracy under the old version, as a share.
        after: Accuracy under the new one.
        start: Place of the lower of the two, in per cent.
        length: Of the way between them.
        before_at: Place of the first dot.
        after_at: Place of the second.
    """

    label: int
    num_samples: int
    is_forgotten: bool
    before: float
    after: float
    start: float
    length: float
    before_at: float
    after_at: float


def dumbbells(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> tuple[Dumbbell, ...]:
    """Draw the classes that were measured both times.

    Args:
        before: `{class, num_samples, accuracy, is_forgotten}` of each class under the old version.
        after: The same under the new one.
    """
    old = {row["class"]: row["accuracy"] for row in before if row["accuracy"] is not None}
    return tuple(
        _dumbbell(row, old[row["class"]], row["accuracy"])
        for row in after
        if row["class"] in old and row["accuracy"] is not None
    )


def _dumbbell(row: Mapping[str, Any], before: float, after: float) -> Dumbbell:
    before_at, after_at = SHARES.at(before), SHARES.at(after)
    return Dumbbell(
        label=row["class"],
        num_samples=row["num_samples"],
        is_forgotten=row["is_forgotten"],
        before=before,
        after=after,
        start=min(before_at, after_at),
        length=round(abs(after_at - before_at), 2),
        before_at=before_at,
        after_at=after_at,
    )
