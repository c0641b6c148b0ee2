"""The forgotten samples beside controls, each held against models that never saw it: z in deviations.

z of a sample is how far the model's answer lies from the answers of models that never saw that sample, in
their standard deviations. Controls are samples that nobody learned. Where the model forgot, both look alike.
Shares, not counts, are drawn: there are more controls than forgotten samples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from service.core.reports import words
from service.core.reports.drawing import histogram, svg
from service.core.reports.drawing.legend import HEIGHT as LEGEND
from service.core.reports.drawing.legend import legend
from service.core.reports.drawing.scale import Scale
from service.core.reports.drawing.svg import Drawing
from service.core.reports.numbers import MINUS, counted, decimal, percent

MOST_GROUPS = 4
NUM_TICKS = 4
TEXT, PLOT, AXIS, GAP = 42, 104, 40, 18
"""Heights in pixels: of a group's two lines, its histograms, the axis below, what parts it from the next."""


def reference(audit: Mapping[str, Any]) -> Drawing | None:
    """Draw the reference test of an audit's report; None where there was none."""
    given = audit.get("reference") or {}
    groups = [group for group in given.get("groups") or () if _is_drawable(group.get("z") or {})]
    if not groups:
        return None
    shown = groups[:MOST_GROUPS]
    each = TEXT + PLOT + AXIS + GAP
    members = f"{counted(given['members'], 'model')} " if given.get("members") else "Models "
    return Drawing(
        name="reference",
        title="Held against models that never saw the samples",
        lead=f"{members}that learned from half of the data each say what a model without a sample answers. "
        "Forgotten samples should stray from that as samples do that nobody learned (the controls).",
        description=" ".join(_seen(group) for group in shown),
        height=LEGEND + len(shown) * each - GAP,
        markup=legend([("outline", "before", "controls"), ("solid", "after", "forgotten samples")], (0, 28))
        + "".join(_panel(group, LEGEND + place * each) for place, group in enumerate(shown)),
    )


def _is_drawable(z: Mapping[str, Any]) -> bool:
    edges, forget, controls = (z.get(name) or () for name in ("bin_edges", "forget", "controls"))
    return histogram.is_drawable(edges, forget, controls) and sum(forget) > 0


def _panel(group: Mapping[str, Any], y: int) -> str:
    edges: Sequence[float] = group["z"]["bin_edges"]
    scale = Scale(edges[0], edges[-1], 0.5, 99.5)
    top, base = y + TEXT, y + TEXT + PLOT
    forget, controls = _shares(group["z"]["forget"]), _shares(group["z"]["controls"])
    ticks = [edges[0] + (edges[-1] - edges[0]) * place / NUM_TICKS for place in range(NUM_TICKS + 1)]
    return (
        svg.text(_name(group), x=0, y=y + 14, class_="name")
        + svg.text(_found(group), x=0, y=y + 32)
        + svg.text(f"tallest bar {percent(max([*forget, *controls]))}", x="100%", y=y + 14, class_="end")
        + "".join(svg.line(scale.at(tick), top, scale.at(tick), base, "grid") for tick in ticks)
        + histogram.pair(edges, forget, controls, (0.5, top, 99, PLOT))
        + svg.line(0, base, 100, base, "axis")
        + "".join(_tick(tick, scale.at(tick), base) for tick in ticks)
        + svg.text("distance from models without it, in deviations", x="50%", y=base + 36, class_="middle")
    )


def _tick(value: float, place: float, y: int) -> str:
    said = f"{value:+.3g}".replace("-", MINUS) if value else "0"
    anchor = "middle" if 3 < place < 97 else "end" if place >= 97 else ""
    return svg.line(place, y, place, y + 5, "axis") + svg.text(
        said, x=svg.across(place), y=y + 18, class_=anchor
    )


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]


def _name(group: Mapping[str, Any]) -> str:
    return words.asked_of(group)


def _found(group: Mapping[str, Any]) -> str:
    said = [
        f"p {decimal(group['p_value'])}" if group.get("p_value") is not None else "",
        f"power {group['power']:.0%}" if group.get("power") is not None else "",
        f"old model p {decimal(group['base_p_value'])}" if group.get("base_p_value") is not None else "",
    ]
    return " \N{MIDDLE DOT} ".join(part for part in said if part)


def _seen(group: Mapping[str, Any]) -> str:
    return f"{_name(group)}: {words.reference(group)}"
