"""The batch window: the first request decides when it closes, and a due date before it closes it sooner."""

from datetime import timedelta

import pytest

from service.core import clock
from service.core.db.session import Sessions, transaction
from service.core.queue import repository as queue
from service.core.queue.models import JobKind
from service.core.registry.policy import Policy
from service.core.requests import runs
from service.core.requests.batching import TRAININGS_BEFORE_DUE
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel, classes, samples
from tests.fixtures.registry import MakeReady, ReadyModel

WINDOW_SECONDS = 3600.0
TRAINING_SECONDS = 12.5
"""Of the models that `make_ready` makes."""


@pytest.fixture
def patient(make_ready: MakeReady) -> ReadyModel:
    """A model whose first request waits for others."""
    return make_ready("patient", policy=Policy(batch_window_seconds=WINDOW_SECONDS))


def test_the_first_request_decides_when_the_window_closes(kernel: Kernel, patient: ReadyModel) -> None:
    before = clock.now()
    kernel.ask_samples(patient, 1)
    (job,) = kernel.jobs(patient)
    assert job.not_before is not None
    assert (job.not_before - before).total_seconds() == pytest.approx(WINDOW_SECONDS, abs=60)

    kernel.ask_samples(patient, 2)

    assert [one.not_before for one in kernel.jobs(patient)] == [job.not_before]
    assert kernel.claim(patient) is None


def test_all_who_joined_are_served_by_one_run(kernel: Kernel, patient: ReadyModel) -> None:
    asked = [kernel.ask_samples(patient, 1), kernel.ask_samples(patient, 2)]
    kernel.make_due(patient)

    kernel.serve(patient)

    assert {kernel.request(one.id).status for one in asked} == {Status.COMPLETED}
    assert len({kernel.request(one.id).run_id for one in asked}) == 1


def test_a_window_never_costs_a_due_date(kernel: Kernel, patient: ReadyModel) -> None:
    kernel.ask_samples(patient, 1)
    reserve = timedelta(seconds=TRAININGS_BEFORE_DUE * TRAINING_SECONDS)
    pressing = clock.now() - timedelta(days=27, hours=23, minutes=30)
    request = kernel.ask(patient.name, samples(*patient.sample_ids(2)), submitted_at=pressing)
    while request.due_at - reserve > clock.now() + timedelta(seconds=WINDOW_SECONDS):
        pressing -= timedelta(hours=1)
        request = kernel.ask(patient.name, samples(*patient.sample_ids(2)), submitted_at=pressing)

    (job,) = kernel.jobs(patient)

    assert job.not_before is None or job.not_before == request.due_at - reserve


def test_what_is_overdue_waits_for_nobody(kernel: Kernel, patient: ReadyModel) -> None:
    kernel.ask_samples(patient, 1)

    kernel.ask(
        patient.name,
        samples(*patient.sample_ids(2)),
        submitted_at=clock.now() - timedelta(days=40),
    )

    assert [job.not_before for job in kernel.jobs(patient)] == [None]
    assert kernel.claim(patient) is not None


def test_what_is_answered_by_a_mask_within_seconds_waits_for_nobody(
    kernel: Kernel, make_ready: MakeReady
) -> None:
    masking = make_ready("masking", policy=Policy(batch_window_seconds=WINDOW_SECONDS, suppress_first=True))

    kernel.ask(masking.name, classes(2))

    assert [job.not_before for job in kernel.jobs(masking)] == [None]


def test_a_run_that_waits_for_others_holds_no_place(
    kernel: Kernel, sessions: Sessions, patient: ReadyModel
) -> None:
    kernel.ask_samples(patient, 1)
    with transaction(sessions) as session:
        refresh = queue.enqueue(session, patient.id, JobKind.REFRESH)

    lease = kernel.claim(patient)

    assert lease is not None
    assert lease.job_id == refresh


def test_requests_that_come_during_a_run_wait_for_the_next(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    first = kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    late = kernel.ask_samples(digits, 2)

    kernel.audit(lease, assignment)
    kernel.publish(digits, lease, assignment)

    assert assignment.positions == (1,)
    assert [kernel.request(one.id).status for one in (first, late)] == [Status.COMPLETED, Status.QUEUED]
    lease, following = kernel.begin(digits)
    with transaction(sessions) as session:
        runs.progress(session, following.run_id, "forgetting", 0.5)
    assert (following.positions, following.base_version) == ((2,), 2)
