"""An audit's report is read as far as it goes: what is absent is left out, not made up."""

from service.dashboard.views import audit_page
from tests.fixtures.audit_reports import audit_report


def test_full_report_gives_numbers_classes_and_histograms() -> None:
    page = audit_page.read(audit_report([3], "pass"))

    assert [line.is_attack for line in page.comparisons] == [False, False, True]
    assert [plot.name for plot in page.plots] == ["scores", "classes"]


def test_report_of_a_model_with_infinite_outputs_has_no_numbers() -> None:
    report = audit_report([3], "fail") | {"before": None, "after": None}
    report["histograms"] |= {"before": None, "after": None}

    page = audit_page.read(report)

    assert (page.comparisons, page.plots) == ((), ())
    assert len(page.checks) == 8


def test_report_of_a_plain_worker_is_still_a_page() -> None:
    check = {
        "name": "new_check",
        "value": 0.2,
        "interval": None,
        "threshold": None,
        "passed": True,
        "detail": "",
    }

    page = audit_page.read({"suite": "2", "verdict": "pass", "checks": [check]})

    assert (page.checks[0].check.title, page.checks[0].check.limit) == ("New check", None)


def test_limits_are_told_with_their_sense() -> None:
    limits = {
        line.check.title: line.check.limit for line in audit_page.read(audit_report([3], "pass")).checks
    }

    assert limits["What is kept still works"] == "at most 0.02"
    assert limits["An attacker cannot tell what was forgotten"] == "0.45 to 0.55"
    assert limits["The forgotten does not stand out"] == "at least \N{MINUS SIGN}1"
