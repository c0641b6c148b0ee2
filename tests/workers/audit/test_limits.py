"""A policy may change thresholds by name, and no others."""

import pytest

from workers.audit.base import AuditError
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
