"""The report as a page: the verdict first, complete, self-contained, and deaf to markup in what it shows."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from service.core.reports import page
from tests.fixtures.audit_reports import audit_report
from tests.fixtures.reports import Markup, audited, class_report, refused_report, report, samples_report

HOSTILE = "</style></title></svg><script>alert('x')</script>\"&{model}"
MAKERS = (class_report, samples_report, refused_report)


def hostile(value: Any) -> Any:
    """The same value with every text made hostile, but for those that a program chose among its own."""
    known = {"verdict", "claimed", "guarantee", "state"}
    if isinstance(value, Mapping):
        return {key: each if key in known else hostile(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [hostile(each) for each in value]
    return HOSTILE if isinstance(value, str) else value


def test_verdict_stands_first_and_in_one_sentence() -> None:
    texts = Markup(page.to_html(class_report())).texts

    assert texts[:3] == [
        "Audit report: digits, version 2",
        "Audit report: digits, version 2",
        "Version 2 of digits was changed to forget the data: audited, not proven erased. "
        "Verdict of the audit: pass.",
    ]


def test_page_tells_everything_a_reader_needs() -> None:
    told = " ".join(Markup(page.to_html(class_report())).texts)

    for words in (
        "1 class with 108 training samples",
        "One-shot mnemonic code",
        "What to know of one_shot.",
        "An attacker cannot tell what was forgotten",
        "95% interval 0.4471 to 0.6153",
        "limit 0.45 to 0.55",
        "what was measured for membership",
        "does not say that nothing is left",
        "How much of it comes back with little effort",
        "Attempt 1: Selective synaptic dampening",
        "lethe-audit-3",
        "77",
        "391 ms",
    ):
        assert words in told, words


def test_power_of_the_reference_test_is_told() -> None:
    told = " ".join(Markup(page.to_html(samples_report())).texts)

    assert "11 training samples and 1 person with 7 training samples" in told
    assert "11 forgotten samples: Samples that nobody learned stray as far" in told
    assert "would be noticed in 97% of cases" in told
    assert "U-LiRA attack, shown only: share of samples that look learned 0.36" in told
    assert "No models that never saw the data were at hand" not in told


def test_page_says_that_few_samples_are_not_drawn() -> None:
    audit = audit_report([], "pass")
    for side in ("before", "after"):
        audit["histograms"][side]["forget"] = [1, *[0] * 47]

    told = page.to_html(report(audited("ssd", audit, "samples")))

    assert "so few samples could be recognised by it" in told
    assert "so few samples could be recognised" not in page.to_html(class_report())


def test_without_references_the_page_says_how_little_it_can_tell() -> None:
    told = " ".join(Markup(page.to_html(report(audited("ssd", audit_report([], "inconclusive"))))).texts)

    assert "No models that never saw the data were at hand" in told
    assert "Could not tell: An attacker cannot tell what was forgotten" in told


def test_exact_claim_says_what_it_rests_on() -> None:
    exact = report(audited("retrain", audit_report([], "pass", "exact")), guarantee="exact")

    assert "rests on how it was made" in page.to_html(exact)


@pytest.mark.parametrize("make", MAKERS)
def test_page_fetches_nothing_and_runs_nothing(make: Any) -> None:
    html = page.to_html(make())
    found = Markup(html)

    assert not {*found.tags} & {"script", "link", "img", "iframe", "object", "a", "form", "image", "use"}
    assert not [
        name
        for _, attributes in found.elements
        for name in attributes
        if name.startswith("on") or name in ("src", "href", "style")
    ]
    assert "default-src 'none'" in html
    assert not re.search(r"url\(|@import|https?:", html)


@pytest.mark.parametrize("make", MAKERS)
def test_page_is_built_for_everybody(make: Any) -> None:
    found = Markup(page.to_html(make()))

    assert (found.tags.count("h1"), found.tags.count("main")) == (1, 1)
    for tag, attributes in found.elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
    assert found.tags.count("desc") == found.tags.count("figure")


@pytest.mark.parametrize("make", MAKERS)
def test_markup_in_any_field_stays_text(make: Any) -> None:
    document = hostile(make())
    for rung in document["rungs"]:
        for probe in (rung["audit"] or {}).get("resurrection", ()):
            probe["class"] = HOSTILE
        for side in ("before", "after"):
            for row in ((rung["audit"] or {}).get(side) or {}).get("per_class", ()):
                row["class"] = HOSTILE + str(row["class"])

    html = page.to_html(document)

    assert "<script" not in html
    assert html.count("</style>") == 1
    assert not {*Markup(html).tags} - {*Markup(page.to_html(make())).tags}
    assert "{model}" in html


def test_audit_of_infinite_outputs_is_still_a_page() -> None:
    bare = audit_report([3], "fail") | {"before": None, "after": None}
    bare["histograms"] |= {"before": None, "after": None}

    html = page.to_html(report(audited("ssd", bare), version=None, guarantee=None, state="refused"))

    assert "<figure>" not in html and "None" not in html


def test_audit_of_another_release_is_still_a_page() -> None:
    check = {
        "name": "new_check",
        "value": 0.2,
        "interval": None,
        "threshold": None,
        "passed": True,
        "detail": "",
    }
    plain = {"suite": "9", "verdict": "undecidable", "checks": [check]}

    texts = Markup(page.to_html(report(audited("brand_new", plain)))).texts

    assert "New check" in texts and "Undecidable" in texts and "Brand new" in texts
