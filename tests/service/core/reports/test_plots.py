"""A drawing shows what a report holds, whatever that is: well-formed, inside its frame, nothing made up."""

import copy
import math
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.reports import plots
from tests.fixtures.audit_reports import audit_report, reference, resurrection
from tests.fixtures.reports import CLASS_AUDIT, SAMPLES_AUDIT, Markup

NAMES = [*plots.PLOTS]
SVG = "{http://www.w3.org/2000/svg}"
COUNTS = st.lists(st.integers(0, 10**6), min_size=48, max_size=48)
SHARES = st.floats(0, 1) | st.sampled_from([0.0, 1.0])
FULL = CLASS_AUDIT | {"reference": reference()}


def drawn(audit: dict[str, Any], name: str) -> ET.Element:
    """The drawing as an XML parser reads it."""
    text = plots.to_svg(audit, name)
    assert text is not None
    return ET.fromstring(text)


def places(root: ET.Element) -> list[float]:
    """Every place and length across that is given in per cent."""
    names = ("x", "x1", "x2", "cx", "width")
    return [
        float(value.rstrip("%"))
        for element in root.iter()
        for name in names
        if (value := element.get(name, "")).endswith("%")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_drawing_is_a_file_of_its_own_with_title_and_description(name: str) -> None:
    root = drawn(FULL, name)

    title, description = root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")
    assert title and description and title in [text.text for text in root.iter(f"{SVG}text")]
    assert root.get("role") == "img" and "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")


@pytest.mark.parametrize("name", NAMES)
def test_drawing_in_a_page_brings_no_style_and_no_name_that_may_clash(name: str) -> None:
    (drawing,) = [one for one in plots.drawings(FULL) if one.name == name]
    elements = Markup(drawing.inline()).elements

    assert not [tag for tag, attributes in elements if tag == "style" or {"style", "id"} & {*attributes}]
    assert elements[0][1]["width"] == "100%" and elements[0][1]["aria-label"] == drawing.title


@pytest.mark.parametrize("name", NAMES)
def test_what_the_report_does_not_hold_is_not_drawn(name: str) -> None:
    assert plots.to_svg({"verdict": "pass"}, name) is None
    assert (
        plots.to_svg({"histograms": None, "before": None, "reference": None, "resurrection": []}, name)
        is None
    )


@settings(max_examples=40, deadline=None)
@given(before=COUNTS, after=COUNTS)
def test_any_histogram_stays_inside_its_drawing(before: list[int], after: list[int]) -> None:
    audit = copy.deepcopy(FULL)
    for side, counts in (("before", before), ("after", after)):
        audit["histograms"][side]["forget"] = counts

    root = drawn(audit, "scores")

    assert all(0 <= place <= 100 for place in places(root))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(SHARES | st.none(), SHARES | st.none(), st.booleans()), max_size=60))
def test_any_accuracies_stay_inside_their_drawing(
    rows: list[tuple[float | None, float | None, bool]],
) -> None:
    audit = {
        side: {
            "per_class": [
                {"class": label, "num_samples": 9, "accuracy": row[place], "is_forgotten": row[2]}
                for label, row in enumerate(rows)
            ]
        }
        for place, side in enumerate(("before", "after"))
    }
    num_measured = sum(old is not None and new is not None for old, new, _ in rows)

    if not num_measured:
        assert plots.to_svg(audit, "classes") is None
        return
    root = drawn(audit, "classes")
    assert all(0 <= place <= 100 for place in places(root))
    assert len([one for one in root.iter(f"{SVG}g") if one.get("class") == "class-row"]) == min(
        30, num_measured
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-9, 9), SHARES, SHARES), min_size=1, max_size=20, unique_by=lambda p: p[0])
)
def test_any_curves_stay_inside_their_drawing(points: list[tuple[int, float, float]]) -> None:
    points.sort()
    xs, candidate, masked = (list(column) for column in zip(*points, strict=True))
    probe = {"name": "rescue", "quantity": "share", "points": xs, "candidate": candidate, "masked": masked}
    band = {"low": candidate, "high": [max(pair) for pair in zip(candidate, masked, strict=True)]}

    for reference_band in (None, band):
        found = [{"class": 3, "probes": [probe | {"reference": reference_band}]}]
        root = drawn({"resurrection": found}, "resurrection")
        assert all(0 <= place <= 100 for place in places(root))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1])
def test_histogram_with_a_count_that_is_none_is_left_out(bad: float) -> None:
    audit = copy.deepcopy(FULL)
    audit["histograms"]["after"]["forget"][3] = bad
    audit["reference"]["groups"][0]["z"]["forget"][3] = bad

    assert "To forget" not in (plots.to_svg(audit, "scores") or "")
    assert "To keep" in (plots.to_svg(audit, "scores") or "")
    assert plots.to_svg(audit, "reference") is None


def test_curve_with_a_value_that_is_none_is_left_out() -> None:
    audit = {"resurrection": resurrection(3)}
    audit["resurrection"][0]["probes"][2]["candidate"][1] = math.nan

    text = plots.to_svg(audit, "resurrection") or ""

    assert (
        "Training goes on" not in text
        and "nan" not in text
        and "A constant is added" in text.replace("&#x27;", "'")
    )


def test_accuracy_that_is_none_is_left_out() -> None:
    audit = copy.deepcopy(CLASS_AUDIT)
    audit["after"]["per_class"][1]["accuracy"] = math.nan

    text = plots.to_svg(audit, "classes") or ""

    assert "class 1:" not in text and "class 2:" in text and "nan" not in text


def test_empty_sets_are_left_out() -> None:
    audit = copy.deepcopy(FULL)
    for side in ("before", "after"):
        audit["histograms"][side] = {name: [0] * 48 for name in ("forget", "unseen", "retain")}

    assert plots.to_svg(audit, "scores") is None


def test_one_class_alone_can_be_drawn() -> None:
    audit = copy.deepcopy(CLASS_AUDIT)
    for side in ("before", "after"):
        audit[side]["per_class"] = audit[side]["per_class"][3:]

    assert "class 3, forgotten: 99.1% before, 0.0% after" in (plots.to_svg(audit, "classes") or "")


def test_of_a_thousand_classes_those_are_drawn_that_tell_most() -> None:
    audit = audit_report([3], "pass")
    for side in ("before", "after"):
        audit[side]["per_class"] = [
            {
                "class": label,
                "num_samples": 50,
                "accuracy": 0.9 - (side == "after") * (0.9 if label == 3 else label / 10_000),
                "is_forgotten": label == 3,
            }
            for label in range(1000)
        ]

    root = drawn(audit, "classes")

    names = [one.text for one in root.iter(f"{SVG}text") if (one.get("class") or "").startswith("name")]
    assert names == ["3 forgotten", *(str(label) for label in range(971, 1000))]
    assert "970 more classes moved by at most 9.7%." in (root.findtext(f"{SVG}desc") or "")


def test_forgotten_class_that_did_not_move_is_drawn_all_the_same() -> None:
    audit = audit_report([3], "fail")
    for side in ("before", "after"):
        audit[side]["per_class"] = [
            {
                "class": label,
                "num_samples": 50,
                "accuracy": 0.9 - (side == "after" and label >= 40) * 0.2,
                "is_forgotten": label < 40,
            }
            for label in range(100)
        ]

    names = [one.text or "" for one in drawn(audit, "classes").iter(f"{SVG}text")]

    assert sum("to forget" in name for name in names) == 15


def test_only_the_classes_that_came_back_most_are_drawn() -> None:
    found = resurrection(*range(9))
    for label, one in enumerate(found):
        one["probes"] = [copy.deepcopy(one["probes"][2]) | {"candidate": [0.0, 0.0, label / 10]}]

    root = drawn({"resurrection": found}, "resurrection")

    headings = [one.text for one in root.iter(f"{SVG}text") if one.get("class") == "heading"][1:]
    assert headings == [f"Class {label}" for label in (8, 7, 6, 5, 4, 3)]
    assert "3 more classes came back less." in (root.findtext(f"{SVG}desc") or "")


def test_probe_without_references_has_no_band() -> None:
    found = resurrection(3)
    for probe in found[0]["probes"]:
        probe["reference"] = None

    assert "band" not in {
        name
        for _, attributes in Markup(plots.drawings({"resurrection": found})[0].inline()).elements
        for name in (attributes.get("class") or "").split()
    }


def test_samples_are_held_against_controls_with_p_and_power() -> None:
    text = plots.to_svg(SAMPLES_AUDIT, "reference") or ""

    for words in (
        "11 forgotten samples",
        "p 0.3104 \N{MIDDLE DOT} power 97% \N{MIDDLE DOT} old model p 0.0005",
    ):
        assert words in text
