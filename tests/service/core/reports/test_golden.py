"""Page and drawings keep their structure: every element with its class and every text, in order.

LETHE_UPDATE_GOLDEN=1 writes the outlines anew; look at the page with your own eyes before you keep them.
"""

import os
from pathlib import Path

import pytest

from service.core.reports import page, plots
from tests.fixtures.reports import CLASS_AUDIT, SAMPLES_AUDIT, Markup, class_report

GOLDEN = Path(__file__).parents[3] / "fixtures" / "golden" / "reports"
AUDITS = {
    "scores": CLASS_AUDIT, "reference": SAMPLES_AUDIT, "classes": CLASS_AUDIT, "resurrection": CLASS_AUDIT,
}  # fmt: skip


def hold(name: str, markup: str) -> None:
    outline = "\n".join(Markup(markup).outline) + "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("LETHE_UPDATE_GOLDEN"):
        file.write_text(outline, encoding="utf-8")
    assert outline == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", AUDITS)
def test_drawing_keeps_its_structure(name: str) -> None:
    drawn = plots.to_svg(AUDITS[name], name)

    assert drawn is not None
    hold(name, drawn)


def test_page_keeps_its_structure() -> None:
    hold("page", page.to_html(class_report()))


def test_every_drawing_has_its_outline() -> None:
    assert {*AUDITS} == {*plots.PLOTS}
