"""The drawings of an audit's report by name; what the report does not hold is not drawn."""

from collections.abc import Callable, Mapping
from typing import Any

from service.core.reports import style
from service.core.reports.drawing.classes import classes
from service.core.reports.drawing.reference import reference
from service.core.reports.drawing.resurrection import resurrection
from service.core.reports.drawing.scores import scores
from service.core.reports.drawing.svg import Drawing

PLOTS: Mapping[str, Callable[[Mapping[str, Any]], Drawing | None]] = {
    "scores": scores,
    "reference": reference,
    "classes": classes,
    "resurrection": resurrection,
}
"""In the order they are shown."""


def drawings(audit: Mapping[str, Any]) -> tuple[Drawing, ...]:
    """Draw all that an audit's report holds."""
    return tuple(drawing for draw in PLOTS.values() if (drawing := draw(audit)) is not None)


def to_svg(audit: Mapping[str, Any], name: str) -> str | None:
    """Return one drawing as a file, or None where the report does not hold it.

    Args:
        audit: The report.
        name: One of PLOTS.
    """
    drawing = PLOTS[name](audit)
    return None if drawing is None else drawing.standalone(style.of_drawings())
