"""Accepting what the audit did not pass: by a person, once, for exactly what is still asked."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.ledger import certificate, claims
from service.core.ledger import repository as ledger
from service.core.ledger.signing import Signer
from service.core.lineage import repository as lineage
from service.core.queue.models import JobKind, JobState
from service.core.registry import repository as registry
from service.core.registry import service
from service.core.registry.models import Model
from service.core.requests import broken, lifecycle
from service.core.requests.models import ForgetRequest, RunState
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel, files_of_version


def claim_of(kernel: Kernel, request: ForgetRequest, signer: Signer) -> claims.Claim:
    """What a request's certificate claims."""
    with transaction(kernel.sessions) as session:
        found = ledger.certificate_of(session, request.id)
    assert found is not None
    return certificate.verify(found.envelope, signer.verifier)


def live(sessions: Sessions, model: ReadyModel) -> set[str]:
    """The digests that a purge spares."""
    with transaction(sessions) as session:
        return registry.live_digests(session, model.id)


def decide(kernel: Kernel, request: ForgetRequest, deed: str) -> None:
    """Approve or deny a request."""
    with transaction(kernel.sessions) as session:
        getattr(lifecycle, deed)(session, request.id, "officer", "reason")


def test_a_refused_run_keeps_its_candidate_from_the_purge(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_classes(digits, 3)

    kept = kernel.refuse(digits)

    assert kept.files[0].stored.sha256 in live(sessions, digits)
    assert [job.kind for job in kernel.jobs(digits, JobKind.PURGE) if job.state == JobState.READY]


@pytest.mark.parametrize("deed", ["approve", "deny"])
def test_another_decision_gives_the_candidate_up_and_has_it_purged(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel, deed: str
) -> None:
    first, second = kernel.ask_classes(digits, 3), kernel.ask_samples(digits, 1)
    kept = kernel.refuse(digits)

    decide(kernel, first, deed)

    assert kept.files[0].stored.sha256 not in live(sessions, digits)
    assert [job.kind for job in kernel.jobs(digits, JobKind.PURGE) if job.state == JobState.READY]
    with pytest.raises(errors.Conflict) as refusal:
        kernel.accept(second)
    assert refusal.value.code == "no_candidate"
    assert kernel.request(second.id).status == Status.NEEDS_REVIEW


def test_an_accepted_candidate_closes_every_request_of_its_run(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    asked = [kernel.ask_classes(digits, 3), kernel.ask_samples(digits, 1)]
    kernel.refuse(digits)

    kernel.accept(asked[0])
    assert {kernel.request(one.id).status for one in asked} == {Status.ACCEPTED}
    version = kernel.publish_accepted(digits)

    rows = [kernel.request(one.id) for one in asked]
    assert {row.status for row in rows} == {Status.COMPLETED}
    assert (version.number, version.guarantee, version.base_number) == (2, "approximate", 1)
    assert kernel.run(rows[0].run_id).state == RunState.ACCEPTED
    with transaction(sessions) as session:
        assert lineage.forgotten_positions(session, digits.id) == [1, *digits.trained_on(3)]
        assert registry.candidate_of(session, version.run_id) is None  # its files are the version's by now
    assert [job.state for job in kernel.jobs(digits, JobKind.ACCEPT)] == [JobState.DONE]


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_the_certificate_says_who_accepted_and_what_the_audit_said(
    kernel: Kernel, digits: ReadyModel, signer: Signer, verdict: str
) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits, verdict)
    kernel.accept(request, principal="0199-officer")
    kernel.publish_accepted(digits)

    claim = claim_of(kernel, request, signer)

    assert (claim.audit.verdict, claim.method.guarantee) == (verdict, "approximate")
    assert claim.acceptance is not None
    assert (claim.acceptance.by, claim.acceptance.reason) == ("0199-officer", "risk_assessed")
    assert claim.statement.endswith(
        f"Accepted by a person (0199-officer, risk_assessed) although the audit said {verdict}."
    )


def test_the_ledger_tells_who_accepted(kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)
    kernel.accept(request)
    kernel.publish_accepted(digits)

    *_, accepted, completed = kernel.story(request.id)

    assert (accepted.kind, accepted.body["by"], accepted.body["decision_reason"]) == (
        "request.accepted",
        "officer",
        "risk_assessed",
    )
    assert (completed.kind, completed.body["from"]) == ("request.completed", "accepted")


def test_accepting_twice_is_accepting_once(kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)

    again = [kernel.accept(request).status for _ in range(2)]
    kernel.publish_accepted(digits)
    again.append(kernel.accept(request).status)

    assert again == [Status.ACCEPTED, Status.ACCEPTED, Status.COMPLETED]
    assert len(kernel.jobs(digits, JobKind.ACCEPT)) == 1
    assert len([entry for entry in kernel.story(request.id) if entry.kind == "request.accepted"]) == 1


@pytest.mark.parametrize("deed", ["approve", "deny"])
def test_what_is_accepted_can_no_longer_be_decided_otherwise(
    kernel: Kernel, digits: ReadyModel, deed: str
) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)
    kernel.accept(request)

    with pytest.raises(errors.Conflict):
        decide(kernel, request, deed)

    assert kernel.publish_accepted(digits).number == 2


def test_of_people_who_race_one_decides(kernel: Kernel, digits: ReadyModel) -> None:
    asked = [kernel.ask_classes(digits, 3), kernel.ask_samples(digits, 1)]
    kernel.refuse(digits)
    deeds = [
        lambda: kernel.accept(asked[0]),
        lambda: kernel.accept(asked[1]),
        lambda: decide(kernel, asked[1], "approve"),
        lambda: decide(kernel, asked[0], "deny"),
    ]

    with ThreadPoolExecutor(len(deeds)) as pool:
        outcomes = [pool.submit(deed) for deed in deeds]
    faults = [outcome.exception() for outcome in outcomes]

    assert all(isinstance(fault, errors.Conflict | None) for fault in faults), faults
    statuses = {kernel.request(one.id).status for one in asked}
    if faults[0] is None or faults[1] is None:
        assert statuses == {Status.ACCEPTED}
        assert kernel.publish_accepted(digits).number == 2
    else:
        assert Status.ACCEPTED not in statuses


def test_a_candidate_whose_base_moved_on_is_stale(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_classes(digits, 3)
    kept = kernel.refuse(digits)
    kernel.ask_samples(digits, 1)
    kernel.serve(digits)

    with pytest.raises(errors.Conflict) as refusal:
        kernel.accept(request)

    assert refusal.value.code == "candidate_stale"
    assert kept.files[0].stored.sha256 not in live(sessions, digits)


def test_a_base_that_moves_after_the_acceptance_sends_the_requests_back_to_a_person(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)
    kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    kernel.accept(request)
    kernel.audit(lease, assignment)
    kernel.publish(digits, lease, assignment)

    _, accepted = kernel.begin_accepted(digits)

    assert accepted is None
    row = kernel.request(request.id)
    assert (row.status, row.reason) == (Status.NEEDS_REVIEW, "candidate_stale")
    assert kernel.run(row.run_id).acceptance is None


def test_two_candidates_of_one_model_cannot_both_be_accepted(kernel: Kernel, digits: ReadyModel) -> None:
    first = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)
    second = kernel.ask_samples(digits, 1)
    kernel.refuse(digits)
    kernel.accept(first)

    with pytest.raises(errors.Conflict) as refusal:
        kernel.accept(second)

    assert refusal.value.code == "candidate_stale"


def test_a_worker_lost_in_mid_publication_publishes_once(kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)
    kernel.accept(request)
    zombie, accepted = kernel.begin_accepted(digits)
    assert accepted is not None
    kernel.lose(zombie)
    assert kernel.request(request.id).status == Status.ACCEPTED

    version = kernel.publish_accepted(digits)
    with pytest.raises(errors.LeaseLost):
        kernel.finish_accepted(digits, zombie, accepted)

    assert version.number == 2
    assert kernel.request(request.id).status == Status.COMPLETED


def test_a_publication_that_cannot_succeed_sends_the_requests_back_and_the_candidate_stays(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_classes(digits, 3)
    kept = kernel.refuse(digits)
    kernel.accept(request)
    lease, _ = kernel.begin_accepted(digits)

    with transaction(sessions) as session:
        broken.fail(session, lease, "The data are gone.", code="dataset_invalid")

    row = kernel.request(request.id)
    assert (row.status, row.reason) == (Status.NEEDS_REVIEW, "dataset_invalid")
    assert kept.files[0].stored.sha256 in live(sessions, digits)
    assert kernel.accept(request).status == Status.ACCEPTED


def test_what_was_accepted_is_published_before_a_run_moves_its_base(
    kernel: Kernel, digits: ReadyModel
) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)
    late = kernel.ask_samples(digits, 1)
    kernel.accept(request)

    assert kernel.publish_accepted(digits).number == 2
    assert kernel.serve(digits).number == 3
    assert kernel.request(late.id).status == Status.COMPLETED


def test_a_request_that_needs_no_review_has_nothing_to_accept(kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask_classes(digits, 3)

    with pytest.raises(errors.Conflict) as refusal:
        kernel.accept(request)

    assert refusal.value.code == "no_decision_awaited"


def test_a_candidate_made_from_a_withdrawn_version_goes_with_it(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_classes(digits, 3)
    kept = kernel.refuse(digits)

    with transaction(sessions) as session:
        service.publish(
            session,
            session.get_one(Model, digits.id),
            base_number=1,
            files=files_of_version("digits", 9),
            guarantee="exact",
            run_id=None,
            facts={},
        )

    assert kept.files[0].stored.sha256 not in live(sessions, digits)
