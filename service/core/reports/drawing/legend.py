"""What the marks of a drawing stand for: a row of marks with their names, above what it explains."""

from collections.abc import Sequence

from service.core.reports.drawing import svg

HEIGHT = 26
_MIDDLE = 9


def legend(entries: Sequence[tuple[str, str, str]], places: Sequence[float], y: float = 0) -> str:
    """Draw the row.

    Args:
        entries: Shape (`solid`, `outline`, `dot`, `diamond`, `band`, `line`), class of the mark, and name.
        places: Where each begins, in per cent.
        y: Upper end, in pixels.
    """
    return "".join(
        _mark(shape, class_, place, y + _MIDDLE) + svg.text(name, x=svg.across(place), dx=23, y=y + 13)
        for (shape, class_, name), place in zip(entries, places, strict=False)
    )


def _mark(shape: str, class_: str, x: float, y: float) -> str:
    marks = {
        "solid": svg.element("rect", class_=class_, x=1, y=-6, width=15, height=12),
        "band": svg.element("rect", class_=class_, x=0, y=-6, width=17, height=12),
        "outline": svg.element("path", class_=f"outline {class_}", d="M1 6 V0 H8.5 V-6 H16 V6"),
        "dot": svg.element("circle", class_=class_, cx=8, cy=0, r=4.5),
        "diamond": svg.element("path", class_=class_, d="M2.5 0 L8 -5.5 L13.5 0 L8 5.5 Z"),
        "line": svg.element("path", class_=class_, d="M0 0 H17"),
    }
    return svg.element(
        "svg", marks[shape], x=svg.across(x), y=y, overflow="visible", width=17, height=1, aria_hidden="true"
    )
