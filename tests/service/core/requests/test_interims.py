"""Interim versions: served while their requests stay open, and closed by exact retraining."""

from datetime import timedelta

import pytest

from service.core import clock, errors
from service.core.db.session import Sessions, transaction
from service.core.ledger import repository as ledger
from service.core.lineage import repository as lineage
from service.core.queue import endings
from service.core.queue.leases import Lease
from service.core.queue.models import JobKind, JobState
from service.core.registry import repository as registry
from service.core.registry.models import Model, VersionState
from service.core.registry.policy import Policy
from service.core.requests import broken, cancellation, interims, lifecycle, publishing, runs
from service.core.requests.assignments import Assignment
from service.core.requests.models import ForgetRequest, RunState
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import MakeReady, ReadyModel, files_of_version

WINDOW_SECONDS = 3 * 86_400.0


@pytest.fixture
def strict(make_ready: MakeReady) -> ReadyModel:
    """A model whose requests only exact retraining closes, and whose training costs more than its budget."""
    policy = Policy(complete_on="exact", exact_window_seconds=WINDOW_SECONDS, exact_budget_seconds=1)
    return make_ready("strict", policy=policy)


def test_an_interim_version_is_served_and_its_requests_stay_open(
    kernel: Kernel, sessions: Sessions, strict: ReadyModel
) -> None:
    request = kernel.ask_classes(strict, 3)

    version = kernel.serve_interim(strict)

    row = kernel.request(request.id)
    assert (row.status, row.reason, row.completed_at) == (Status.QUEUED, "interim_published", None)
    assert row.interim is not None
    assert (row.interim["version"], row.interim["guarantee"]) == (2, "approximate")
    assert kernel.run(version.run_id).state == RunState.INTERIM
    with transaction(sessions) as session:
        model = session.get_one(Model, strict.id)
        assert (model.served_version, model.revocation_floor) == (2, 2)
        assert lineage.forgotten_positions(session, strict.id) == []
        assert lineage.forgotten_classes(session, strict.id) == {}
        assert ledger.certificate_of(session, request.id) is None
    assert kernel.jobs(strict, JobKind.PURGE)
    last = kernel.story(request.id)[-1]
    assert (last.kind, last.body["version"], last.body["guarantee"]) == ("request.queued", 2, "approximate")


def test_the_base_of_an_interim_version_is_withdrawn(
    kernel: Kernel, sessions: Sessions, strict: ReadyModel
) -> None:
    kernel.ask_classes(strict, 3)
    kernel.serve_interim(strict)

    with transaction(sessions) as session:
        states = [one.state for one in registry.versions_of(session, strict.id)]
    assert states == [VersionState.PUBLISHED, VersionState.WITHDRAWN]


def test_the_exact_retraining_waits_for_the_window_and_blocks_nobody(
    kernel: Kernel, strict: ReadyModel
) -> None:
    kernel.ask_classes(strict, 3)
    kernel.serve_interim(strict)

    (job,) = kernel.jobs(strict, JobKind.EXACT)
    assert job.not_before is not None
    assert abs(job.not_before - clock.now() - timedelta(seconds=WINDOW_SECONDS)) < timedelta(minutes=1)

    fresh = kernel.ask_samples(strict, 1)
    kernel.serve_interim(strict)
    assert kernel.request(fresh.id).interim["version"] == 3  # type: ignore[index]
    assert len(kernel.jobs(strict, JobKind.EXACT)) == 1
    assert [job.kind for job in [kernel.claim(strict)] if job] != [JobKind.EXACT]


def test_one_exact_run_closes_every_request_that_waits(
    kernel: Kernel, sessions: Sessions, strict: ReadyModel
) -> None:
    asked = [kernel.ask_classes(strict, 3)]
    kernel.serve_interim(strict)
    asked.append(kernel.ask_samples(strict, 1, 2))
    kernel.serve_interim(strict)
    asked.append(kernel.ask_samples(strict, 5))
    kernel.make_due(strict)

    lease, assignment = begin_exact(kernel, strict)
    kernel.audit(lease, assignment)
    version = kernel.publish(strict, lease, assignment)

    assert assignment.is_exact_only
    assert (assignment.classes, assignment.positions) == ((3,), (1, 2, 5))
    assert (assignment.forgotten_classes, assignment.forgotten_positions) == ((), ())
    assert version.number == 4
    assert {kernel.request(one.id).status for one in asked} == {Status.COMPLETED}
    with transaction(sessions) as session:
        assert all(ledger.certificate_of(session, one.id) for one in asked)
        assert lineage.forgotten_positions(session, strict.id) == [1, 2, 5, *strict.trained_on(3)]


def begin_exact(kernel: Kernel, model: ReadyModel) -> tuple[Lease, Assignment]:
    """Start the run that closes what interim versions have forgotten, before any other."""
    while True:
        lease = kernel.claim(model)
        assert lease is not None
        with transaction(kernel.sessions) as session:
            if lease.kind == JobKind.EXACT:
                assignment = runs.take(session, lease)
                assert assignment is not None
                return lease, assignment
            endings.finish(session, lease)


def test_what_an_interim_version_forgot_is_forgotten_for_the_next_run(
    kernel: Kernel, sessions: Sessions, strict: ReadyModel
) -> None:
    kernel.ask_classes(strict, 3)
    kernel.ask_samples(strict, 1)
    kernel.serve_interim(strict)
    kernel.ask_samples(strict, 2, *strict.trained_on(3)[:1])

    _, assignment = kernel.begin(strict)

    assert assignment.forgotten_classes == (3,)
    assert assignment.forgotten_positions == (1, *strict.trained_on(3))
    assert (assignment.classes, assignment.positions) == ((), (2,))
    with transaction(sessions) as session:
        gone = interims.forgotten(session, session.get_one(Model, strict.id))
    assert (gone.classes, gone.positions) == ((3,), (1, *strict.trained_on(3)))


def test_a_new_request_for_what_an_interim_version_forgot_joins_it(
    kernel: Kernel, strict: ReadyModel
) -> None:
    kernel.ask_classes(strict, 3)
    kernel.serve_interim(strict)
    twin = kernel.ask_samples(strict, *strict.trained_on(3)[:2])
    lease = claim_unlearn(kernel, strict)

    with transaction(kernel.sessions) as session:
        assert runs.take(session, lease) is None

    row = kernel.request(twin.id)
    assert (row.status, row.reason) == (Status.QUEUED, "interim_published")
    assert row.interim is not None and row.interim["version"] == 2
    assert kernel.story(twin.id)[-1].kind == "request.joined_interim"
    kernel.make_due(strict)
    _, assignment = begin_exact(kernel, strict)
    assert assignment.classes == (3,)


def claim_unlearn(kernel: Kernel, model: ReadyModel) -> Lease:
    """Claim a model's unlearning job, finishing what comes before."""
    while True:
        lease = kernel.claim(model)
        assert lease is not None
        if lease.kind == JobKind.UNLEARN:
            return lease
        with transaction(kernel.sessions) as session:
            endings.finish(session, lease)


def test_a_refused_exact_run_needs_review_and_approval_sends_it_through_another(
    kernel: Kernel, strict: ReadyModel
) -> None:
    request = kernel.ask_classes(strict, 3)
    kernel.serve_interim(strict)
    kernel.make_due(strict)
    lease, assignment = begin_exact(kernel, strict)
    kernel.audit(lease, assignment, "fail")
    with transaction(kernel.sessions) as session:
        runs.refuse(session, lease, assignment.run_id)
    row = kernel.request(request.id)
    assert row.status == Status.NEEDS_REVIEW and row.interim is not None

    with transaction(kernel.sessions) as session:
        lifecycle.approve(session, request.id, "officer", "again")

    assert kernel.request(request.id).reason == "interim_published"
    open_jobs = [job for job in kernel.jobs(strict, JobKind.EXACT) if job.state == JobState.READY]
    assert [job.not_before for job in open_jobs] == [None]


def test_what_needs_review_stays_forgotten_for_everybody_else(
    kernel: Kernel, sessions: Sessions, strict: ReadyModel
) -> None:
    request = kernel.ask_samples(strict, 1)
    kernel.serve_interim(strict)
    kernel.make_due(strict)
    lease, assignment = begin_exact(kernel, strict)
    with transaction(kernel.sessions) as session:
        runs.refuse(session, lease, assignment.run_id)

    with transaction(sessions) as session:
        assert interims.forgotten(session, session.get_one(Model, strict.id)).positions == (1,)
    with transaction(sessions) as session:
        lifecycle.deny(session, request.id, "officer", "identity_unproven")
    with transaction(sessions) as session:
        assert interims.forgotten(session, session.get_one(Model, strict.id)).positions == ()


def test_a_lost_exact_attempt_waits_again_and_says_what_it_waits_for(
    kernel: Kernel, strict: ReadyModel
) -> None:
    request = kernel.ask_classes(strict, 3)
    kernel.serve_interim(strict)
    kernel.make_due(strict)
    lease, _ = begin_exact(kernel, strict)

    kernel.lose(lease)

    row = kernel.request(request.id)
    assert (row.status, row.reason) == (Status.QUEUED, "interim_published")
    kernel.make_due(strict)
    again, assignment = begin_exact(kernel, strict)
    assert again.attempts == 2 and assignment.classes == (3,)


def test_an_exact_job_that_is_given_up_fails_the_requests_that_count_on_it(
    kernel: Kernel, strict: ReadyModel
) -> None:
    request = kernel.ask_classes(strict, 3)
    kernel.serve_interim(strict)
    kernel.make_due(strict)
    fresh = kernel.ask_samples(strict, 1)
    while (lease := kernel.claim(strict)) is not None and lease.kind != JobKind.EXACT:
        if lease.kind == JobKind.UNLEARN:
            with transaction(kernel.sessions) as session:
                broken.retry(session, lease, "later")
            continue
        with transaction(kernel.sessions) as session:
            endings.finish(session, lease)
    assert lease is not None

    with transaction(kernel.sessions) as session:
        broken.fail(session, lease, "out of attempts")

    assert kernel.request(request.id).status == Status.FAILED
    assert kernel.request(fresh.id).status == Status.QUEUED


def test_a_request_that_an_interim_version_forgot_cannot_be_cancelled(
    kernel: Kernel, strict: ReadyModel
) -> None:
    request = kernel.ask_classes(strict, 3)
    kernel.serve_interim(strict)

    with pytest.raises(errors.Conflict) as refusal, transaction(kernel.sessions) as session:
        cancellation.cancel(session, request.id, "caller")

    assert refusal.value.code == "too_late_to_cancel"


def test_a_mask_forgets_nothing_and_the_ladder_goes_on_at_once(
    kernel: Kernel, sessions: Sessions, make_ready: MakeReady
) -> None:
    model = make_ready("masked", policy=Policy(suppress_first=True))
    request = kernel.ask_classes(model, 3)
    late = kernel.ask_samples(model, 1)
    lease, first = kernel.begin(model)
    assert (first.is_masked_first, first.classes, first.positions) == (True, (3,), ())
    kernel.audit(lease, first)
    with transaction(sessions) as session:
        publication = publishing.Publication(files_of_version("masked", 2), "suppressed")
        publishing.publish_interim(session, lease, first, publication, can_be_exact=True)

    row = kernel.request(request.id)
    assert (row.status, row.reason) == (Status.QUEUED, "interim_published")
    assert not kernel.jobs(model, JobKind.EXACT) and not kernel.jobs(model, JobKind.REFRESH)
    _, following = kernel.begin(model)
    assert (following.is_masked_first, following.is_masked) == (False, True)
    assert (following.classes, following.positions) == ((3,), (1,))
    assert (following.forgotten_classes, following.forgotten_positions) == ((), ())
    assert kernel.request(late.id).status == Status.RUNNING


def test_no_run_leaves_out_what_the_base_only_masks(
    kernel: Kernel, sessions: Sessions, make_ready: MakeReady
) -> None:
    model = make_ready("masked", policy=Policy(suppress_first=True))
    request = kernel.ask_classes(model, 3)
    kernel.serve_interim(model, "suppressed")
    kernel.refuse(model)
    assert kernel.request(request.id).status == Status.NEEDS_REVIEW

    kernel.ask_samples(model, 1)
    _, assignment = kernel.begin(model)

    assert (assignment.classes, assignment.positions, assignment.is_masked) == ((3,), (1,), True)
    assert kernel.request(request.id).status == Status.RUNNING
    with transaction(sessions) as session:
        assert interims.forgotten(session, session.get_one(Model, model.id)).classes == ()


def test_a_request_that_names_its_method_is_not_masked_first(kernel: Kernel, make_ready: MakeReady) -> None:
    model = make_ready("masked", policy=Policy(suppress_first=True))
    kernel.ask_samples(model, 1)

    _, assignment = kernel.begin(model)

    assert not assignment.is_masked_first


@pytest.mark.parametrize(
    ("training_seconds", "days_left", "expected_days"),
    [(10.0, 30, None), (1000.0, 30, 3.0), (86_400.0, 4, 2.0), (86_400.0, 1, None), (None, 30, 3.0)],
)
def test_exact_retraining_is_due_by_window_due_date_or_at_once(
    training_seconds: float | None, days_left: int, expected_days: float | None
) -> None:
    now = clock.now()
    policy = Policy(exact_budget_seconds=60, exact_window_seconds=WINDOW_SECONDS)
    settled = ForgetRequest(
        due_at=now + timedelta(days=days_left),
        interim={"version": 2, "guarantee": "approximate", "published_at": clock.rfc3339(now), "run": "r"},
    )

    due_at = interims.exact_at(policy, training_seconds, [settled], now)

    if expected_days is None:
        assert due_at is None
    else:
        assert due_at is not None
        assert abs(due_at - now - timedelta(days=expected_days)) < timedelta(seconds=1)


@pytest.mark.parametrize("is_in_review", [False, True])
def test_a_retraining_for_others_closes_what_interim_versions_had_forgotten(
    kernel: Kernel, sessions: Sessions, strict: ReadyModel, is_in_review: bool
) -> None:
    settled = kernel.ask_classes(strict, 3)
    kernel.serve_interim(strict)
    if is_in_review:
        kernel.make_due(strict)
        lease, assignment = begin_exact(kernel, strict)
        with transaction(sessions) as session:
            runs.refuse(session, lease, assignment.run_id)
    fresh = kernel.ask_samples(strict, 1)
    lease, assignment = kernel.begin(strict)
    kernel.audit(lease, assignment)

    with transaction(sessions) as session:
        publication = publishing.Publication(files_of_version("strict", 3), "exact")
        publishing.publish(session, lease, assignment, publication, kernel.signatory)

    rows = [kernel.request(one.id) for one in (settled, fresh)]
    assert {row.status for row in rows} == {Status.COMPLETED}
    assert {row.run_id for row in rows} == {assignment.run_id}
    with transaction(sessions) as session:
        assert all(ledger.certificate_of(session, row.id) for row in rows)
        assert lineage.forgotten_positions(session, strict.id) == [1, *strict.trained_on(3)]
        assert [*lineage.forgotten_classes(session, strict.id)] == [3]
