"""What is written as SVG is escaped, and holds nothing that XML forbids."""

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from service.core.reports.drawing import svg

ANY_TEXT = st.text(st.characters() | st.sampled_from(["\x00", "\ud800", "<", ">", "&", '"']), max_size=30)


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_and_attribute_is_well_formed(content: str, name: str) -> None:
    parsed = ET.fromstring(svg.text(content, class_=name))

    assert parsed.tag == "text" and not list(parsed)


def test_names_and_numbers_are_written_as_svg_has_them() -> None:
    assert svg.line(1 / 3, 2, 100, 4.126, "a") == '<line class="a" x1="0.33%" y1="2" x2="100%" y2="4.13"/>'
    assert svg.element("g", stroke_width=2, fill=None, class_="x") == '<g stroke-width="2" class="x"/>'
