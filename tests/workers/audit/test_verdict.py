"""Results become one decision, and the claim can only fall."""

import pytest

from workers.audit.base import CheckResult, Gating, worst_of
from workers.audit.verdict import judge

GATING = {"no_op": Gating.EVERY_CLAIM, "masking": Gating.EVERY_CLAIM, "membership": Gating.INEXACT_CLAIMS}


def result(name, *, passed=True, is_decided=True, value=0.0):
    return CheckResult(name, value, None, None, 0.0, passed, "", is_decided)


@pytest.mark.parametrize(
    ("results", "claimed", "outcome", "guarantee"),
    [
        ([result("no_op"), result("membership")], "approximate", "pass", "approximate"),
        ([result("no_op", passed=False)], "approximate", "fail", "approximate"),
        ([result("no_op", passed=False)], "exact", "fail", "exact"),
        ([result("masking", passed=False)], "approximate", "fail", "suppressed"),
        ([result("masking", passed=False)], "exact", "fail", "suppressed"),
        ([result("membership", passed=False)], "approximate", "fail", "approximate"),
        ([result("membership", passed=False)], "exact", "pass", "exact"),
        ([result("no_op", passed=False)], "certified", "fail", "certified"),
        ([result("masking", passed=False)], "certified", "fail", "suppressed"),
        ([result("membership", passed=False)], "certified", "pass", "certified"),
        ([result("membership", passed=False, is_decided=False)], "certified", "pass", "certified"),
        (
            [result("membership", passed=False, is_decided=False)],
            "approximate",
            "inconclusive",
            "approximate",
        ),
        ([result("membership", passed=False, is_decided=False)], "exact", "pass", "exact"),
        ([result("membership", passed=False, is_decided=False)], "suppressed", "pass", "suppressed"),
        ([result("no_op", passed=False)], "suppressed", "fail", "suppressed"),
        (
            [result("no_op", passed=False), result("membership", passed=False, is_decided=False)],
            "approximate",
            "fail",
            "approximate",
        ),
    ],
)
def test_a_failure_refuses_the_claims_it_concerns(results, claimed, outcome, guarantee):
    verdict = judge(results, GATING, claimed)

    assert (verdict.outcome.value, verdict.guarantee) == (outcome, guarantee)


def test_over_several_groups_a_failure_decides_then_doubt_then_distance():
    good, far = result("membership", value=0.5), result("membership", value=0.7)
    doubt = result("membership", passed=False, is_decided=False, value=0.5)
    bad = result("membership", passed=False, value=0.6)

    assert worst_of([good, far, doubt, bad], 0.5) is bad
    assert worst_of([good, far, doubt], 0.5) is doubt
    assert worst_of([good, far], 0.5) is far
    assert worst_of([], 0.5) is None
