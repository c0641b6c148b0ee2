"""A worker whose lease went to another changes nothing, whichever of its transactions it comes to.

Listed is every function that a worker calls to write in a job's name; the jobs themselves are held against
the same rule in `tests/workers/jobs/test_fenced_jobs.py`.
"""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.queue import endings, evidence, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.requests import acceptance, broken, publishing, runs
from service.core.requests.acceptance import Acceptance
from service.core.requests.assignments import Assignment
from service.core.requests.broken import Breakdown
from service.core.requests.publishing import Publication
from service.core.requests.runs import Kept
from tests.fixtures.dumps import dump, take_away
from tests.fixtures.forgetting import Kernel, audit_report, rung
from tests.fixtures.registry import ReadyModel, files_of_version

PUBLICATION = Publication(files_of_version("digits", 2), "approximate", {"accuracy": 0.9})
KEPT = Kept(files_of_version("kept", 0)[:1], "approximate", "fail", is_retrained=False, rung=0)

Write = Callable[[Session, Lease, Assignment, Kernel], Any]

BEFORE_A_RUN: dict[str, Write] = {
    "leases.heartbeat": lambda session, lease, _, __: leases.heartbeat(session, lease, 30.0),
    "leases.fence": lambda session, lease, _, __: leases.fence(session, lease),
    "endings.finish": lambda session, lease, _, __: endings.finish(session, lease),
    "endings.park": lambda session, lease, _, __: endings.park(session, lease, "broken"),
    "endings.give_back": lambda session, lease, _, __: endings.give_back(session, lease, "broken"),
    "endings.hand_over": lambda session, lease, _, __: endings.hand_over(session, lease, "told to stop"),
    "endings.take_away": lambda session, lease, _, __: endings.take_away(session, lease, "broken"),
    "evidence.note": lambda session, lease, _, __: evidence.note(session, lease, "broken", {}),
    "runs.take": lambda session, lease, _, __: runs.take(session, lease),
    "acceptance.take_accepted": lambda session, lease, _, __: acceptance.take_accepted(session, lease),
}
IN_A_RUN: dict[str, Write] = {
    "runs.fenced": lambda session, lease, work, _: runs.fenced(session, lease, work.run_id),
    "runs.begin_audit": lambda session, lease, work, _: runs.begin_audit(
        session, lease, work.run_id, rung(work)
    ),
    "runs.note_failed_rung": lambda session, lease, work, _: runs.note_failed_rung(
        session, lease, work.run_id, ["ssd"], "ineffective", "It had no effect."
    ),
    "broken.retry": lambda session, lease, _, __: broken.retry(session, lease, "broken"),
    "broken.fail": lambda session, lease, _, __: broken.fail(session, lease, "broken"),
    "broken.hand_over": lambda session, lease, _, __: broken.hand_over(session, lease),
    "broken.settle": lambda session, lease, _, __: broken.settle(session, lease, Breakdown("broken"), 3),
}
AT_AUDIT: dict[str, Write] = {
    "runs.note_audit": lambda session, lease, work, _: runs.note_audit(
        session, lease, work.run_id, audit_report("pass")
    ),
    "runs.next_rung": lambda session, lease, work, _: runs.next_rung(session, lease, work.run_id),
    "publishing.publish": lambda session, lease, work, kernel: publishing.publish(
        session, lease, work, PUBLICATION, kernel.signatory
    ),
    "publishing.publish_interim": lambda session, lease, work, _: publishing.publish_interim(
        session, lease, work, PUBLICATION, can_be_exact=True
    ),
    "runs.refuse": lambda session, lease, work, _: runs.refuse(session, lease, work.run_id, KEPT),
}


@pytest.mark.parametrize("name", BEFORE_A_RUN)
def test_before_a_run_nothing_is_written_without_the_lease(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel, name: str
) -> None:
    kernel.ask_samples(digits, 1)
    lease = kernel.claim(digits)
    assert lease is not None
    take_away(sessions, lease.job_id)
    before = dump(sessions)

    with pytest.raises(errors.LeaseLost), transaction(sessions) as session:
        BEFORE_A_RUN[name](session, lease, None, kernel)  # type: ignore[arg-type]

    assert dump(sessions) == before


@pytest.mark.parametrize("name", IN_A_RUN)
def test_in_a_run_nothing_is_written_without_the_lease(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel, name: str
) -> None:
    kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    take_away(sessions, lease.job_id)
    before = dump(sessions)

    with pytest.raises(errors.LeaseLost), transaction(sessions) as session:
        IN_A_RUN[name](session, lease, assignment, kernel)

    assert dump(sessions) == before


@pytest.mark.parametrize("name", AT_AUDIT)
def test_at_an_audit_nothing_is_written_without_the_lease(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel, name: str
) -> None:
    kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    kernel.audit(lease, assignment, "fail")
    take_away(sessions, lease.job_id)
    before = dump(sessions)

    with pytest.raises(errors.LeaseLost), transaction(sessions) as session:
        AT_AUDIT[name](session, lease, assignment, kernel)

    assert dump(sessions) == before


def test_what_was_accepted_is_not_published_without_the_lease(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_samples(digits, 1)
    kernel.refuse(digits)
    kernel.accept(request)
    lease, accepted = kernel.begin_accepted(digits)
    assert isinstance(accepted, Acceptance)
    take_away(sessions, lease.job_id)
    before = dump(sessions)

    with pytest.raises(errors.LeaseLost):
        kernel.finish_accepted(digits, lease, accepted)

    assert dump(sessions) == before


def test_progress_is_not_noted_without_the_lease_and_is_with_it(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    with transaction(sessions) as session:
        runs.progress(session, assignment.run_id, "forgetting", 0.25)
    take_away(sessions, lease.job_id)
    before = dump(sessions)

    with transaction(sessions) as session:
        runs.progress(session, assignment.run_id, "forgetting", 0.75)

    assert dump(sessions) == before
    assert kernel.run(assignment.run_id).fraction == 0.25


def test_every_function_that_takes_a_lease_is_listed_here() -> None:
    listed = {*BEFORE_A_RUN, *IN_A_RUN, *AT_AUDIT, "publishing.publish_accepted"}
    reading = {"leases.is_held_up", "evidence.of"}
    rooms = {
        "queue": queue,
        "leases": leases,
        "endings": endings,
        "evidence": evidence,
        "runs": runs,
        "acceptance": acceptance,
        "publishing": publishing,
        "broken": broken,
    }

    writing = {
        f"{room}.{name}"
        for room, module in rooms.items()
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
        if "lease" in inspect.signature(function).parameters
    }

    assert writing - reading == listed
