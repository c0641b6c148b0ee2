"""Intake: what is accepted, what is refused and how it is named, where a request goes first."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from service.core import clock, errors
from service.core.db.session import Sessions, transaction
from service.core.methods import repository as methods
from service.core.queue.models import JobState
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.registry.policy import Policy
from service.core.requests import lifecycle
from service.core.requests.intake import Target
from service.core.requests.models import ForgetRequest, TargetKind
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel, classes, samples, subject
from tests.fixtures.registry import NUM_CLASSES, MakeReady, ReadyModel, registration

LONE_SURROGATE = "person-\ud800"


class TestTarget:
    def test_class_request_is_queued_and_counts_its_training_samples(
        self, kernel: Kernel, digits: ReadyModel
    ) -> None:
        request = kernel.ask_classes(digits, 3, 1, 3)

        assert request.status == Status.QUEUED
        assert (request.classes, request.positions) == ([1, 3], None)
        assert request.num_samples == len(digits.trained_on(1)) + len(digits.trained_on(3))
        assert [job.state for job in kernel.jobs(digits)] == [JobState.READY]

    def test_sample_request_keeps_positions_once_each(self, kernel: Kernel, digits: ReadyModel) -> None:
        request = kernel.ask_samples(digits, 7, 2, 7)

        assert (request.kind, request.positions, request.num_samples) == (TargetKind.SAMPLES, [2, 7], 2)

    def test_subject_request_finds_all_of_the_persons_samples(
        self, kernel: Kernel, digits: ReadyModel
    ) -> None:
        request = kernel.ask_subject(digits, "digits-person-3")

        assert request.positions == digits.of_subject("digits-person-3") == [3, 11, 19]

    def test_subject_without_samples_is_rejected_at_once(self, kernel: Kernel, digits: ReadyModel) -> None:
        request = kernel.ask_subject(digits, "nobody")

        assert (request.status, request.reason) == (Status.REJECTED, "no_match")
        assert kernel.jobs(digits) == []

    def test_class_that_nothing_was_learned_of_is_rejected_at_once(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        with transaction(sessions) as session:
            session.get_one(Model, digits.id).num_classes = NUM_CLASSES + 1

        request = kernel.ask_classes(digits, NUM_CLASSES)

        assert (request.status, request.reason) == (Status.REJECTED, "no_match")

    def test_person_of_another_dataset_is_not_found_in_this_one(
        self, kernel: Kernel, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        letters = make_ready("letters", dataset_name="letters")

        assert kernel.ask_subject(digits, "letters-person-3").reason == "no_match"
        assert kernel.ask_subject(letters, "letters-person-3").status == Status.QUEUED

    def test_unknown_class_is_named_by_its_place_in_the_request(
        self, kernel: Kernel, digits: ReadyModel
    ) -> None:
        with pytest.raises(errors.Invalid) as refusal:
            kernel.ask_classes(digits, 0, NUM_CLASSES, -1)

        assert refusal.value.code == "unknown_class"
        assert pointers(refusal.value) == ["/target/classes/1", "/target/classes/2"]

    def test_unknown_sample_is_named_by_its_place_and_never_by_its_id(
        self, kernel: Kernel, digits: ReadyModel
    ) -> None:
        known = digits.sample_ids(0, 1)

        with pytest.raises(errors.Invalid) as refusal:
            kernel.ask(digits.name, samples(known[0], "alice-17", known[1], "alice-18"))

        assert refusal.value.code == "unknown_sample"
        assert pointers(refusal.value) == ["/target/sample_ids/1", "/target/sample_ids/3"]
        assert "alice" not in f"{refusal.value}{refusal.value.details}"

    @pytest.mark.parametrize("target", [classes(), samples()], ids=["classes", "samples"])
    def test_empty_target_is_refused(self, kernel: Kernel, digits: ReadyModel, target: Target) -> None:
        with pytest.raises(errors.Invalid) as refusal:
            kernel.ask(digits.name, target)

        assert refusal.value.code == "empty_target"

    def test_every_class_at_once_is_refused(self, kernel: Kernel, digits: ReadyModel) -> None:
        with pytest.raises(errors.Invalid) as refusal:
            kernel.ask_classes(digits, *range(NUM_CLASSES))

        assert refusal.value.code == "every_class"

    def test_the_last_class_a_model_knows_is_refused(self, kernel: Kernel, digits: ReadyModel) -> None:
        kernel.ask_classes(digits, 0, 1, 2)
        kernel.serve(digits)

        with pytest.raises(errors.Invalid) as refusal:
            kernel.ask_classes(digits, 3)

        assert refusal.value.code == "every_class"
        assert kernel.ask_classes(digits, 0, 2).status == Status.COMPLETED

    @pytest.mark.parametrize(
        ("target", "pointer"),
        [
            (samples("digits/train/00000", LONE_SURROGATE), "/target/sample_ids/1"),
            (subject(LONE_SURROGATE), "/target/subject_id"),
        ],
        ids=["samples", "subject"],
    )
    def test_identifier_that_is_not_unicode_is_refused_by_its_place(
        self, kernel: Kernel, digits: ReadyModel, target: Target, pointer: str
    ) -> None:
        with pytest.raises(errors.Invalid) as refusal:
            kernel.ask(digits.name, target)

        assert refusal.value.code == "malformed_identifier"
        assert pointers(refusal.value) == [pointer]

    def test_refused_request_leaves_nothing(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        with pytest.raises(errors.Invalid):
            kernel.ask(digits.name, classes(99), key="key-1")

        with transaction(sessions) as session:
            assert session.scalar(select(func.count()).select_from(ForgetRequest)) == 0
        assert kernel.ask(digits.name, classes(1), key="key-1").status == Status.QUEUED


class TestModel:
    def test_unknown_model_is_not_found(self, kernel: Kernel) -> None:
        with pytest.raises(errors.NotFound):
            kernel.ask("nothing", classes(1))

    def test_model_without_a_version_is_not_ready(self, kernel: Kernel, sessions: Sessions) -> None:
        with transaction(sessions) as session:
            registry.register(session, registration("fresh"))

        with pytest.raises(errors.Conflict) as refusal:
            kernel.ask("fresh", classes(1))

        assert refusal.value.code == "model_not_ready"

    def test_model_whose_preparation_failed_is_not_ready(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        with transaction(sessions) as session:
            session.execute(update(Model).where(Model.id == digits.id).values(state="failed"))

        with pytest.raises(errors.Conflict):
            kernel.ask_classes(digits, 1)


class TestMethod:
    def test_unknown_method_is_refused(self, kernel: Kernel, digits: ReadyModel) -> None:
        with pytest.raises(errors.Invalid) as refusal:
            kernel.ask(digits.name, classes(1), method="magic")

        assert refusal.value.code == "unknown_method"
        assert pointers(refusal.value) == ["/method"]

    def test_method_must_fit_the_kind_of_target(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        with transaction(sessions) as session:
            methods.publish(
                session,
                [{"name": "one_shot", "version": "1", "guarantee": "approximate", "kinds": ["class"]}],
            )

        assert kernel.ask(digits.name, classes(1), method="one_shot").method == "one_shot"
        with pytest.raises(errors.Invalid):
            kernel.ask(digits.name, subject("digits-person-1"), method="one_shot")


class TestRoute:
    def test_class_that_is_forgotten_completes_at_once_and_points_to_its_run(
        self, kernel: Kernel, digits: ReadyModel
    ) -> None:
        first = kernel.ask_classes(digits, 2)
        kernel.serve(digits)

        again = kernel.ask_classes(digits, 2)

        assert (again.status, again.reason) == (Status.COMPLETED, "already_forgotten")
        assert again.run_id == kernel.request(first.id).run_id is not None
        assert again.completed_at is not None

    def test_sample_of_a_forgotten_class_is_forgotten_too(self, kernel: Kernel, digits: ReadyModel) -> None:
        kernel.ask_classes(digits, 2)
        kernel.serve(digits)

        again = kernel.ask_samples(digits, *digits.trained_on(2)[:2])

        assert (again.status, again.reason) == (Status.COMPLETED, "already_forgotten")

    def test_target_that_is_forgotten_in_part_is_queued(self, kernel: Kernel, digits: ReadyModel) -> None:
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)

        assert kernel.ask_samples(digits, 1, 2).status == Status.QUEUED

    def test_target_forgotten_by_several_runs_points_to_the_last(
        self, kernel: Kernel, digits: ReadyModel
    ) -> None:
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)
        second = kernel.ask_samples(digits, 2)
        kernel.serve(digits)

        assert kernel.ask_samples(digits, 1, 2).run_id == kernel.request(second.id).run_id

    def test_policy_can_hold_a_request_for_approval(self, kernel: Kernel, make_ready: MakeReady) -> None:
        guarded = make_ready("guarded", policy=Policy(approval_required=True))

        request = kernel.ask_classes(guarded, 1)

        assert (request.status, request.reason) == (Status.HELD, "approval_required")
        assert kernel.jobs(guarded) == []

    def test_cancel_window_holds_a_request_until_it_is_over(
        self, kernel: Kernel, sessions: Sessions, make_ready: MakeReady
    ) -> None:
        patient = make_ready("patient", policy=Policy(cancel_window_seconds=3600))
        request = kernel.ask_classes(patient, 1)

        assert (request.status, request.reason) == (Status.HELD, "cancel_window")
        assert request.held_until == request.received_at + timedelta(hours=1)
        with transaction(sessions) as session:
            assert lifecycle.release_held(session) == 0

        with transaction(sessions) as session:
            over = clock.now() - timedelta(seconds=1)
            session.execute(update(ForgetRequest).values(held_until=over))
        with transaction(sessions) as session:
            assert lifecycle.release_held(session) == 1
        assert kernel.request(request.id).status == Status.QUEUED
        assert len(kernel.jobs(patient)) == 1

    def test_request_held_for_approval_is_not_released_by_time(
        self, kernel: Kernel, sessions: Sessions, make_ready: MakeReady
    ) -> None:
        guarded = make_ready("guarded", policy=Policy(approval_required=True, cancel_window_seconds=1))
        kernel.ask_classes(guarded, 1)

        with transaction(sessions) as session:
            assert lifecycle.release_held(session) == 0


class TestDueDate:
    @pytest.mark.parametrize(
        ("submitted_at", "due_at"),
        [
            (datetime(2026, 1, 31, 9, 5, tzinfo=UTC), datetime(2026, 2, 28, 9, 5, tzinfo=UTC)),
            (datetime(2024, 1, 31, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)),
            (datetime(2025, 12, 15, tzinfo=UTC), datetime(2026, 1, 15, tzinfo=UTC)),
        ],
    )
    def test_request_is_due_a_calendar_month_after_the_person_asked(
        self, kernel: Kernel, digits: ReadyModel, submitted_at: datetime, due_at: datetime
    ) -> None:
        request = kernel.ask(digits.name, classes(1), submitted_at=submitted_at)

        assert (request.submitted_at, request.due_at) == (submitted_at, due_at)
        assert request.received_at > submitted_at

    def test_nobody_can_have_asked_in_the_future(self, kernel: Kernel, digits: ReadyModel) -> None:
        request = kernel.ask(digits.name, classes(1), submitted_at=clock.now() + timedelta(days=400))

        assert request.submitted_at == request.received_at
        assert request.due_at == clock.add_months(request.received_at, 1)


class TestStory:
    def test_intake_tells_the_ledger_what_came_and_where_it_went(
        self, kernel: Kernel, digits: ReadyModel
    ) -> None:
        request = kernel.ask_subject(digits, "digits-person-3")

        received, queued = kernel.story(request.id)
        assert (received.kind, queued.kind) == ("request.received", "request.queued")
        assert received.body == {
            "request": str(request.id),
            "model": "digits",
            "kind": "subject",
            "classes": [],
            "num_samples": 3,
            "submitted_at": clock.rfc3339(request.submitted_at),
            "due_at": clock.rfc3339(request.due_at),
            "by": "caller",
        }


def pointers(error: errors.LetheError) -> list[object]:
    """Where in the request an error points."""
    return [detail["pointer"] for detail in error.details]
