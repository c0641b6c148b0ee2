"""Publication: a new version, its tombstones, certificates and the end of the job are one transaction."""

import pytest
from sqlalchemy import func, select

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.ledger import repository as ledger
from service.core.ledger.errors import CertificateRefused
from service.core.ledger.models import Certificate, LedgerEntry
from service.core.lineage import repository as lineage
from service.core.lineage.models import ForgottenClass, Tombstone
from service.core.queue.models import Job, JobState
from service.core.registry import repository as registry
from service.core.registry.models import Model, Version, VersionFile
from service.core.requests import publishing, runs
from service.core.requests.models import RunState
from service.core.requests.publishing import Publication
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel, files_of_version

WRITTEN = (Version, VersionFile, Tombstone, ForgottenClass, Certificate, LedgerEntry, Job)
"""Tables that a publication writes to."""


def test_two_requests_of_one_run_get_one_version_and_a_certificate_each(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    asked = [kernel.ask_samples(digits, 1, 2), kernel.ask_classes(digits, 3)]

    version = kernel.serve(digits)

    rows = [kernel.request(one.id) for one in asked]
    assert {row.status for row in rows} == {Status.COMPLETED}
    assert {row.run_id for row in rows} == {version.run_id}
    assert [row.positions for row in rows] == [None, None]
    assert all(row.completed_at is not None for row in rows)
    with transaction(sessions) as session:
        certificates = [ledger.certificate_of(session, row.id) for row in rows]
        assert len({certificate.sha256 for certificate in certificates if certificate}) == 2
        assert [one.number for one in registry.versions_of(session, digits.id)] == [2, 1]
    assert [job.state for job in kernel.jobs(digits)] == [JobState.DONE]
    run = kernel.run(rows[0].run_id)
    assert (run.state, run.version, run.fraction) == (RunState.PUBLISHED, 2, 1.0)


def test_tombstones_stand_on_samples_and_on_the_classes_training_samples(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_samples(digits, 1, 2)
    kernel.ask_classes(digits, 3)
    version = kernel.serve(digits)

    with transaction(sessions) as session:
        forgotten = lineage.forgotten_positions(session, digits.id)
        assert forgotten == [1, 2, *digits.trained_on(3)]
        by_run = lineage.runs_that_forgot(session, digits.id, forgotten)
        assert set(by_run.values()) == {version.run_id}
        assert lineage.forgotten_classes(session, digits.id) == {3: version.run_id}


def test_request_that_comes_during_a_run_waits_for_the_next(kernel: Kernel, digits: ReadyModel) -> None:
    kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    late = kernel.ask_samples(digits, 2)
    kernel.audit(lease, assignment)
    kernel.publish(digits, lease, assignment)

    assert kernel.request(late.id).status == Status.QUEUED
    version = kernel.serve(digits)
    assert version.number == 3
    row = kernel.request(late.id)
    assert (row.status, row.run_id) == (Status.COMPLETED, version.run_id)


def test_moved_base_publishes_nothing(kernel: Kernel, sessions: Sessions, digits: ReadyModel) -> None:
    request = kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    kernel.audit(lease, assignment)
    with transaction(sessions) as session:
        session.get_one(Model, digits.id).served_version = 7
    before = everything_published(sessions, digits)

    with pytest.raises(errors.Conflict) as refusal:
        kernel.publish(digits, lease, assignment)

    assert refusal.value.code == "base_moved"
    assert everything_published(sessions, digits) == before
    assert kernel.request(request.id).status == Status.AUDITING


def test_zombie_publishes_nothing(kernel: Kernel, sessions: Sessions, digits: ReadyModel) -> None:
    request = kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    kernel.audit(lease, assignment)
    kernel.lose(lease)
    before = everything_published(sessions, digits)

    with pytest.raises(errors.LeaseLost):
        kernel.publish(digits, lease, assignment)

    assert everything_published(sessions, digits) == before
    assert kernel.request(request.id).status == Status.QUEUED


def test_zombie_that_returns_after_the_publication_changes_nothing(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_samples(digits, 1)
    zombie, stale = kernel.begin(digits)
    kernel.audit(zombie, stale)
    kernel.lose(zombie)
    kernel.serve(digits)
    before = everything_published(sessions, digits)

    with pytest.raises(errors.LeaseLost):
        kernel.publish(digits, zombie, stale)

    assert everything_published(sessions, digits) == before
    assert before[0] == 2


def test_run_that_was_never_audited_cannot_be_published(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    kernel.audit(lease, assignment)
    with transaction(sessions) as session:
        runs.next_rung(session, lease, assignment.run_id)
    before = everything_published(sessions, digits)

    with pytest.raises(errors.Conflict):
        kernel.publish(digits, lease, assignment)

    assert everything_published(sessions, digits) == before


def test_publication_without_public_files_is_refused_whole(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    kernel.audit(lease, assignment)
    before = everything_published(sessions, digits)
    private = [file for file in files_of_version(digits.name, 2) if not file.is_public]

    with pytest.raises(CertificateRefused), transaction(sessions) as session:
        publishing.publish(session, lease, assignment, Publication(private, "exact"), kernel.signatory)

    assert everything_published(sessions, digits) == before


def everything_published(sessions: Sessions, model: ReadyModel) -> tuple[int | None, ...]:
    """Which version is served, and how many rows each table that a publication writes to has."""
    with transaction(sessions) as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in WRITTEN]
        return session.get_one(Model, model.id).served_version, *counts
