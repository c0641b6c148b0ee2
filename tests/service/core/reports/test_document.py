"""A report says what the public may read of a run's audits, the decisive one first, in one spelling."""

import json
import math
from typing import Any

import pytest

from service.core.ledger import canonical
from service.core.ledger.errors import NotCanonical
from service.core.reports import document
from service.core.reports.document import Facts
from tests.fixtures.audit_reports import audit_report, rung
from tests.fixtures.reports import audited, class_report, refused_report, report


def test_rung_that_decided_comes_first_then_the_others_in_order() -> None:
    composed = report(
        audited("ssd", audit_report([3], "fail")),
        {"steps": [], "audit": None, "methods": ["eu_k"], "code": "missing_need", "text": "?"},
        audited("one_shot", audit_report([3], "pass")),
    )

    assert [one["number"] for one in composed["rungs"]] == [3, 1, 2]
    assert [one["methods"] for one in composed["rungs"]] == [["one_shot"], ["ssd"], ["eu_k"]]
    assert composed["rungs"][2]["audit"] is None and composed["rungs"][2]["failure"] == "missing_need"


def test_rung_that_a_person_chose_comes_first_when_it_is_named() -> None:
    tried = [audited("ssd", audit_report([3], "inconclusive")), audited("eu_k", audit_report([3], "fail"))]

    assert [one["number"] for one in report(*tried, decisive=0)["rungs"]] == [1, 2]


def test_what_is_not_listed_does_not_leave_the_house() -> None:
    audit = audit_report([3], "pass") | {"positions": [17, 18], "notes": "of somebody"}
    tried = rung("class", "ssd") | {"audit": audit, "log": "train/00017"}
    tried["steps"][0]["diagnostics"] = {"worst_sample": 17}

    text = document.to_bytes(report(tried)).decode()

    for hidden in ("positions", "somebody", "train/00017", "worst_sample", "diagnostics"):
        assert hidden not in text


@pytest.mark.parametrize(("num_samples", "is_told"), [(1, False), (19, False), (20, True)])
def test_histogram_of_few_forgotten_samples_is_withheld(num_samples: int, is_told: bool) -> None:
    audit = audit_report([], "pass")
    for side in ("before", "after"):
        audit["histograms"][side]["forget"] = [num_samples, *[0] * 47]

    told = report(audited("ssd", audit, "samples"))["rungs"][0]["audit"]["histograms"]

    assert [("forget" in told[side]) for side in ("before", "after")] == [is_told, is_told]
    assert "unseen" in told["before"] and "retain" in told["after"]


def test_reason_without_a_candidate_is_told_by_its_code_alone() -> None:
    assert refused_report()["rungs"][1]["failure"] == "missing_need"
    assert '"text"' not in json.dumps(refused_report())


@pytest.mark.parametrize(
    ("guarantee", "said"),
    [
        ("exact", "Version 2 of digits was retrained without the forgotten data."),
        ("approximate", "audited, not proven erased. Verdict of the audit: pass."),
        ("suppressed", "output masked. Its parameters may still hold what was learned."),
    ],
)
def test_statement_is_that_of_the_claims(guarantee: str, said: str) -> None:
    assert said in report(audited("m", audit_report([3], "pass")), guarantee=guarantee)["statement"]


def test_interim_version_is_called_so() -> None:
    said = report(audited("ssd", audit_report([3], "pass")), state="interim")["statement"]

    assert said.endswith("the requests stay open until an exact retraining closes them.")


def test_certified_statement_names_its_bounds() -> None:
    tried = audited("certified_removal", audit_report([], "pass"), "samples")
    tried["steps"][0]["parameters"] |= {"epsilon": 1.5, "delta": 1e-5}

    said = report(rung("class", "ssd") | tried, guarantee="certified")["statement"]

    assert "epsilon 1.5 and delta 0.00001" in said


@pytest.mark.parametrize(
    ("state", "verdict", "said"),
    [
        ("refused", "fail", "Nothing of digits for version 1 was published: the audit refused"),
        ("refused", "inconclusive", "was published: the audit of the last attempt could not decide."),
        ("broken", "pass", "the run broke off"),
        ("running", "fail", "is published yet"),
    ],
)
def test_run_without_a_version_claims_nothing(state: str, verdict: str, said: str) -> None:
    composed = report(audited("ssd", audit_report([3], verdict)), version=None, guarantee=None, state=state)

    assert said in composed["statement"]
    assert "erased" not in composed["statement"] and "retrained" not in composed["statement"]


def test_run_that_has_audited_nothing_has_no_report() -> None:
    facts: dict[str, Any] = {"model": "m", "base_version": 1, "version": None, "guarantee": None}
    facts |= {"state": "running", "seed": 1, "asked": ()}

    assert document.compose(Facts(**facts, rungs=[])) is None
    assert document.compose(Facts(**facts, rungs=[rung("class", "ssd")])) is None


def test_bytes_are_canonical_and_equal_for_equal_facts() -> None:
    data = document.to_bytes(class_report())

    assert data == document.to_bytes(class_report())
    assert canonical.parse_json(data) == json.loads(json.dumps(class_report()))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_number_that_is_none_is_refused(value: float) -> None:
    audit = audit_report([3], "pass")
    audit["checks"][0]["value"] = value

    with pytest.raises(NotCanonical):
        document.to_bytes(report(audited("ssd", audit)))
