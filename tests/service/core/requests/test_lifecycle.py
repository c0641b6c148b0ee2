"""What people do to a request: cancel one that waits, approve, deny, extend."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from service.core import clock, errors
from service.core.db.session import Sessions, transaction
from service.core.queue import endings
from service.core.queue.models import JobState
from service.core.registry.policy import Policy
from service.core.requests import broken, cancellation, lifecycle, runs
from service.core.requests.models import ForgetRequest
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel, classes
from tests.fixtures.registry import MakeReady, ReadyModel


@pytest.fixture
def guarded(make_ready: MakeReady) -> ReadyModel:
    """A model whose requests wait for a person's approval."""
    return make_ready("guarded", policy=Policy(approval_required=True))


class TestCancel:
    def test_queued_request_is_cancelled_and_loses_its_positions(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        request = kernel.ask_samples(digits, 3)

        cancelled = cancel(sessions, request.id)

        assert (cancelled.status, cancelled.positions) == (Status.CANCELLED, None)
        assert kernel.story(request.id)[-1].body["by"] == "someone"

    def test_cancelling_twice_is_one_entry(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        request = kernel.ask_samples(digits, 3)
        cancel(sessions, request.id)

        assert cancel(sessions, request.id).status == Status.CANCELLED
        assert kinds(kernel, request) == ["request.received", "request.queued", "request.cancelled"]

    def test_held_request_can_be_cancelled(
        self, kernel: Kernel, sessions: Sessions, guarded: ReadyModel
    ) -> None:
        request = kernel.ask_samples(guarded, 3)

        assert cancel(sessions, request.id).status == Status.CANCELLED

    def test_cancelled_request_cannot_start(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        cancel(sessions, kernel.ask_samples(digits, 3).id)
        lease = kernel.claim(digits)
        assert lease is not None
        while lease.kind != "unlearn":
            with transaction(sessions) as session:
                endings.finish(session, lease)
            lease = kernel.claim(digits)
            assert lease is not None

        with transaction(sessions) as session:
            assert runs.take(session, lease) is None
        assert [job.state for job in kernel.jobs(digits)] == [JobState.DONE]

    def test_unknown_request_is_not_found(self, sessions: Sessions) -> None:
        with pytest.raises(errors.NotFound):
            cancel(sessions, uuid4())


class TestApprove:
    def test_approval_queues_a_held_request(
        self, kernel: Kernel, sessions: Sessions, guarded: ReadyModel
    ) -> None:
        request = kernel.ask_samples(guarded, 3)

        approved = approve(sessions, request.id)

        assert (approved.status, approved.reason, approved.held_until) == (Status.QUEUED, None, None)
        assert len(kernel.jobs(guarded)) == 1
        body = kernel.story(request.id)[-1].body
        assert (body["by"], body["decision"], body["decision_reason"]) == ("someone", "approve", "checked")

    def test_failed_request_can_be_sent_through_another_run(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        request = kernel.ask_samples(digits, 3)
        lease, _ = kernel.begin(digits)
        with transaction(sessions) as session:
            broken.fail(session, lease, "disk full")

        approve(sessions, request.id)
        kernel.serve(digits)

        assert kernel.request(request.id).status == Status.COMPLETED

    @pytest.mark.parametrize("is_auditing", [False, True])
    def test_request_in_a_run_awaits_no_decision(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel, is_auditing: bool
    ) -> None:
        request = kernel.ask_samples(digits, 3)
        lease, assignment = kernel.begin(digits)
        if is_auditing:
            kernel.audit(lease, assignment)

        with pytest.raises(errors.Conflict) as refusal:
            approve(sessions, request.id)

        assert refusal.value.code == "no_decision_awaited"
        assert kernel.request(request.id).run_id == assignment.run_id

    def test_queued_request_awaits_no_decision(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        request = kernel.ask_samples(digits, 3)

        for decide in (approve, deny):
            with pytest.raises(errors.Conflict):
                decide(sessions, request.id)


class TestDeny:
    def test_denied_request_is_rejected_with_the_reason_given(
        self, kernel: Kernel, sessions: Sessions, guarded: ReadyModel
    ) -> None:
        request = kernel.ask_samples(guarded, 3)

        denied = deny(sessions, request.id)

        assert (denied.status, denied.reason, denied.positions) == (Status.REJECTED, "legal_hold", None)
        assert kernel.story(request.id)[-1].body == {
            "request": str(request.id),
            "from": "held",
            "reason": "legal_hold",
            "by": "someone",
            "decision": "deny",
        }

    def test_closed_request_cannot_be_denied(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        request = kernel.ask_samples(digits, 3)
        kernel.serve(digits)

        with pytest.raises(errors.Conflict):
            deny(sessions, request.id)


class TestExtend:
    def test_due_date_moves_to_three_months_after_the_person_asked(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        asked_at = datetime(2026, 11, 30, tzinfo=UTC)
        request = kernel.ask(digits.name, classes(1), submitted_at=min(asked_at, clock.now()))

        extended = extend(sessions, request.id)

        assert extended.due_at == clock.add_months(request.submitted_at, 3)
        assert extended.status == Status.QUEUED
        assert kernel.story(request.id)[-1].body["reason"] == "complex"

    def test_request_is_extended_only_once(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        request = kernel.ask_samples(digits, 3)
        extend(sessions, request.id)

        with pytest.raises(errors.Conflict) as refusal:
            extend(sessions, request.id)

        assert refusal.value.code == "not_extendable"

    def test_closed_request_cannot_be_extended(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        request = kernel.ask_samples(digits, 3)
        cancel(sessions, request.id)

        with pytest.raises(errors.Conflict):
            extend(sessions, request.id)


def cancel(sessions: Sessions, request_id: UUID) -> ForgetRequest:
    with transaction(sessions) as session:
        return cancellation.cancel(session, request_id, "someone")


def approve(sessions: Sessions, request_id: UUID) -> ForgetRequest:
    with transaction(sessions) as session:
        return lifecycle.approve(session, request_id, "someone", "checked")


def deny(sessions: Sessions, request_id: UUID) -> ForgetRequest:
    with transaction(sessions) as session:
        return lifecycle.deny(session, request_id, "someone", "legal_hold")


def extend(sessions: Sessions, request_id: UUID) -> ForgetRequest:
    with transaction(sessions) as session:
        return lifecycle.extend(session, request_id, "someone", "complex")


def kinds(kernel: Kernel, request: ForgetRequest) -> list[str]:
    return [entry.kind for entry in kernel.story(request.id)]
