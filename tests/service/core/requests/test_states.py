"""The state machine of a request: every legal move, and that there is no other."""

from itertools import product

import pytest

from service.core import errors
from service.core.requests.states import (
    ALLOWED,
    CANCELLABLE,
    CLOSED,
    DECIDABLE,
    IN_RUN,
    Status,
    transition,
)

LEGAL = {
    ("received", "held"),
    ("received", "queued"),
    ("received", "rejected"),
    ("received", "cancelled"),
    ("received", "completed"),
    ("held", "queued"),
    ("held", "rejected"),
    ("held", "cancelled"),
    ("queued", "running"),
    ("queued", "completed"),
    ("queued", "cancelled"),
    ("queued", "failed"),
    ("running", "auditing"),
    ("running", "queued"),
    ("running", "needs_review"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("auditing", "completed"),
    ("auditing", "running"),
    ("auditing", "queued"),
    ("auditing", "needs_review"),
    ("auditing", "failed"),
    ("auditing", "cancelled"),
    ("needs_review", "queued"),
    ("needs_review", "rejected"),
    ("needs_review", "accepted"),
    ("accepted", "completed"),
    ("accepted", "needs_review"),
    ("failed", "queued"),
    ("failed", "rejected"),
}
"""Written out by hand, so that a slip in the table is a red test."""


@pytest.mark.parametrize(("current", "following"), list(product(Status, Status)))
def test_a_move_is_legal_exactly_when_the_design_says_so(current: Status, following: Status) -> None:
    if (current.value, following.value) in LEGAL:
        assert transition(current, following) is following
    else:
        with pytest.raises(errors.Conflict) as refusal:
            transition(current, following)
        assert refusal.value.code == "illegal_transition"
        assert current in refusal.value.message
        assert following in refusal.value.message


def test_every_state_has_a_row_in_the_table() -> None:
    assert set(ALLOWED) == set(Status)


def test_nothing_follows_a_closed_request() -> None:
    assert {"completed", "rejected", "cancelled"} == CLOSED


def test_what_waits_or_is_in_a_run_can_be_cancelled_and_nothing_else() -> None:
    allowed = {status for status, following in ALLOWED.items() if Status.CANCELLED in following}

    assert allowed == CANCELLABLE
    assert {Status.RECEIVED, Status.HELD, Status.QUEUED} | IN_RUN == CANCELLABLE


def test_a_decision_can_send_on_or_reject_whatever_awaits_one() -> None:
    assert all({Status.QUEUED, Status.REJECTED} <= ALLOWED[status] for status in DECIDABLE)
    assert not DECIDABLE & IN_RUN


def test_every_state_is_reached_from_received() -> None:
    reached = {Status.RECEIVED}
    while following := {later for status in reached for later in ALLOWED[status]} - reached:
        reached |= following

    assert reached == set(Status)
