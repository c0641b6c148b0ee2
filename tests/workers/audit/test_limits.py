"""A policy may change thresholds by name, and no others."""

import pytest

from workers.audit.errors import AuditError
from workers.audit.limits import Limits


def test_a_policy_changes_what_it_names_and_nothing_else():
    limits = Limits.of({"mean_drop": 0.05})

    assert limits == Limits(mean_drop=0.05)


@pytest.mark.parametrize(
    "changed", [{"drop": 0.1}, {"mean_drop": -0.1}, {"mean_drop": float("nan")}, {"mean_drop": True}]
)
def test_an_unknown_name_or_an_impossible_value_is_refused(changed):
    with pytest.raises(AuditError, match=r"correct it|rename it"):
        Limits.of(changed)


@pytest.mark.parametrize(("claim", "limit"), [("approximate", 0.02), ("exact", 0.1), ("certified", 0.1)])
def test_what_was_made_without_the_data_may_lose_what_it_lost_with_them(claim, limit):
    assert Limits().for_claim(claim).mean_drop == limit


def test_a_policy_that_allows_more_allows_it_to_every_claim():
    limits = Limits.of({"mean_drop": 0.3})

    assert limits.for_claim("exact").mean_drop == limits.for_claim("approximate").mean_drop == 0.3
