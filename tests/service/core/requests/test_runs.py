"""Runs: one attempt takes what waits for a model, climbs its rungs, and lets no zombie write."""

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.methods import repository as methods
from service.core.queue import endings
from service.core.queue.models import JobKind, JobState
from service.core.registry import repository as registry
from service.core.requests import broken, runs
from service.core.requests.assignments import Assignment
from service.core.requests.models import RunState
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel, audit_report, rung, samples
from tests.fixtures.registry import MakeReady, ReadyModel


class TestTake:
    def test_one_run_takes_every_request_that_waits(self, kernel: Kernel, digits: ReadyModel) -> None:
        person = digits.of_subject("digits-person-3")
        waiting = [
            kernel.ask_classes(digits, 2),
            kernel.ask_samples(digits, 1, 5),
            kernel.ask_subject(digits, "digits-person-3"),
            kernel.ask_classes(digits, 0, 2),
        ]

        _, assignment = kernel.begin(digits)

        assert assignment.classes == (0, 2)
        assert assignment.positions == tuple(sorted({1, 5, *person}))
        assert (assignment.base_version, assignment.forgotten_classes) == (1, ())
        rows = [kernel.request(one.id) for one in waiting]
        assert {row.status for row in rows} == {Status.RUNNING}
        assert {row.run_id for row in rows} == {assignment.run_id}
        assert kernel.story(waiting[0].id)[-1].body["base_version"] == 1

    def test_run_is_told_what_was_forgotten_before(self, kernel: Kernel, digits: ReadyModel) -> None:
        kernel.ask_classes(digits, 2)
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)
        kernel.ask_classes(digits, 2, 3)
        kernel.ask_samples(digits, 1, 4)

        _, assignment = kernel.begin(digits)

        assert (assignment.classes, assignment.positions) == ((3,), (4,))
        assert assignment.forgotten_classes == (2,)
        assert assignment.forgotten_positions == tuple(sorted({1, *digits.trained_on(2)}))
        assert assignment.base_version == 2

    def test_what_another_model_was_asked_to_forget_is_barred(
        self, kernel: Kernel, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)
        twin = make_ready("twin")
        kernel.ask_samples(twin, 4)

        _, assignment = kernel.begin(twin)

        assert (assignment.positions, assignment.forgotten_positions) == ((4,), (1,))

    @pytest.mark.parametrize(("guarantee", "status"), [("exact", "completed"), ("approximate", "queued")])
    def test_what_a_retraining_left_out_because_it_was_barred_is_forgotten_too(
        self, kernel: Kernel, digits: ReadyModel, make_ready: MakeReady, guarantee: str, status: str
    ) -> None:
        twin = make_ready("twin", "digits")
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)
        kernel.ask_samples(twin, 5)
        lease, assignment = kernel.begin(twin)
        assert 1 in assignment.forgotten_positions
        kernel.audit(lease, assignment)
        kernel.publish(twin, lease, assignment, guarantee)

        later = kernel.ask_samples(twin, 1)

        assert later.status == status

    def test_a_barred_sample_that_this_model_is_asked_to_forget_is_forgotten_in_it_too(
        self, kernel: Kernel, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        kernel.ask_samples(digits, 1, 4)
        kernel.serve(digits)
        twin = make_ready("twin")
        kernel.ask_samples(twin, 4)

        _, assignment = kernel.begin(twin)

        assert (assignment.positions, assignment.forgotten_positions) == ((4,), (1,))

    def test_request_forgotten_while_it_waited_completes_without_a_run_of_its_own(
        self, kernel: Kernel, digits: ReadyModel
    ) -> None:
        kernel.ask_classes(digits, 2)
        lease, first = kernel.begin(digits)
        late = kernel.ask_samples(digits, *digits.trained_on(2)[:2])
        kernel.audit(lease, first)
        kernel.publish(digits, lease, first)

        assert take_next(kernel, digits) is None

        closed = kernel.request(late.id)
        assert (closed.status, closed.reason) == (Status.COMPLETED, "already_forgotten")
        assert (closed.run_id, closed.positions) == (first.run_id, None)
        assert {job.state for job in kernel.jobs(digits)} == {JobState.DONE}

    def test_requests_for_other_methods_wait_for_runs_of_their_own(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        with transaction(sessions) as session:
            methods.publish(session, [offer("ssd", "samples"), offer("one_shot", "class", "samples")])
        kernel.ask_classes(digits, 1)
        places = digits.trained_on(2)
        named = ("auto", "ssd", "one_shot", "ssd", "auto")
        asked = [
            kernel.ask(digits.name, samples(*digits.sample_ids(place)), method=method)
            for place, method in zip(places, named, strict=False)
        ]

        taken = []
        for _ in range(3):
            lease, assignment = kernel.begin(digits)
            taken.append((assignment.classes, assignment.samples_method, assignment.positions))
            kernel.audit(lease, assignment)
            kernel.publish(digits, lease, assignment)

        assert taken == [
            ((1,), "auto", (places[0], places[4])),
            ((), "ssd", (places[1], places[3])),
            ((), "one_shot", (places[2],)),
        ]
        assert {kernel.request(one.id).status for one in asked} == {Status.COMPLETED}
        assert {job.state for job in kernel.jobs(digits)} == {JobState.DONE}

    def test_runs_have_seeds_of_their_own(self, kernel: Kernel, digits: ReadyModel) -> None:
        seeds = set()
        for position in (1, 2, 3):
            kernel.ask_samples(digits, position)
            lease, assignment = kernel.begin(digits)
            kernel.audit(lease, assignment)
            kernel.publish(digits, lease, assignment)
            seeds.add(assignment.seed)

        assert len(seeds) == 3

    def test_lost_lease_takes_nothing(self, kernel: Kernel, sessions: Sessions, digits: ReadyModel) -> None:
        request = kernel.ask_samples(digits, 1)
        lease, _ = kernel.begin(digits)
        kernel.lose(lease)

        with pytest.raises(errors.LeaseLost), transaction(sessions) as session:
            runs.take(session, lease)

        assert kernel.request(request.id).status == Status.QUEUED


class TestProgress:
    def test_progress_is_noted_while_the_run_lasts(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        kernel.ask_samples(digits, 1)
        lease, assignment = kernel.begin(digits)

        with transaction(sessions) as session:
            runs.progress(session, assignment.run_id, "fisher", 1.7)
        run = kernel.run(assignment.run_id)
        assert (run.stage, run.fraction) == ("fisher", 1.0)

        kernel.lose(lease)
        with transaction(sessions) as session:
            runs.progress(session, assignment.run_id, "ghost", 0.1)
        assert kernel.run(assignment.run_id).stage == "fisher"


class TestLadder:
    def test_refused_rung_leads_to_the_next_and_both_are_kept(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        request = kernel.ask_samples(digits, 1)
        lease, assignment = kernel.begin(digits)

        kernel.audit(lease, assignment, "fail")
        assert kernel.run(assignment.run_id).state == RunState.AUDITING
        assert kernel.request(request.id).status == Status.AUDITING
        with transaction(sessions) as session:
            runs.next_rung(session, lease, assignment.run_id)
        assert kernel.request(request.id).status == Status.RUNNING
        kernel.audit(lease, assignment, "pass")

        verdicts = [one["audit"]["verdict"] for one in kernel.run(assignment.run_id).rungs]
        assert verdicts == ["fail", "pass"]

    def test_rung_that_could_not_serve_is_noted_without_a_candidate(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        kernel.ask_samples(digits, 1)
        lease, assignment = kernel.begin(digits)

        with transaction(sessions) as session:
            runs.note_failed_rung(session, lease, assignment.run_id, ["ssd"], "diverged", "It diverged.")

        assert kernel.run(assignment.run_id).rungs == [
            {"steps": [], "audit": None, "methods": ["ssd"], "code": "diverged", "text": "It diverged."}
        ]

    def test_refused_run_publishes_nothing_and_asks_a_person(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        request = kernel.ask_samples(digits, 1)
        lease, assignment = kernel.begin(digits)
        kernel.audit(lease, assignment, "fail")

        with transaction(sessions) as session:
            runs.refuse(session, lease, assignment.run_id)

        row = kernel.request(request.id)
        assert (row.status, row.reason, row.positions) == (Status.NEEDS_REVIEW, "audit_refused", [1])
        assert kernel.run(assignment.run_id).state == RunState.REFUSED
        assert served(sessions, digits) == 1
        assert [job.state for job in kernel.jobs(digits)] == [JobState.DONE]

    def test_zombie_can_write_no_step_of_a_run(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        request = kernel.ask_samples(digits, 1)
        lease, assignment = kernel.begin(digits)
        kernel.audit(lease, assignment)
        kernel.lose(lease)
        before = (kernel.run(assignment.run_id).rungs, len(kernel.story(request.id)))
        run_id = assignment.run_id

        writes: tuple[Callable[[Session], None], ...] = (
            lambda session: runs.begin_audit(session, lease, run_id, rung(assignment)),
            lambda session: runs.note_audit(session, lease, run_id, audit_report("fail")),
            lambda session: runs.note_failed_rung(session, lease, run_id, ["ssd"], "code", "text"),
            lambda session: runs.next_rung(session, lease, run_id),
            lambda session: runs.refuse(session, lease, run_id),
            lambda session: broken.fail(session, lease, "reason"),
            lambda session: broken.retry(session, lease, "reason"),
        )
        for write in writes:
            with pytest.raises(errors.LeaseLost), transaction(sessions) as session:
                write(session)

        assert (kernel.run(run_id).rungs, len(kernel.story(request.id))) == before
        assert kernel.request(request.id).status == Status.QUEUED


def offer(name: str, *kinds: str) -> dict[str, object]:
    """A method as a worker describes it."""
    return {"name": name, "version": "1", "guarantee": "approximate", "kinds": list(kinds)}


def take_next(kernel: Kernel, model: ReadyModel) -> Assignment | None:
    """Claim a model's next unlearning job and take what waits; None when nothing was left to do."""
    while True:
        lease = kernel.claim(model)
        assert lease is not None
        with transaction(kernel.sessions) as session:
            if lease.kind == JobKind.UNLEARN:
                return runs.take(session, lease)
            endings.finish(session, lease)


def served(sessions: Sessions, model: ReadyModel) -> int | None:
    """Which version a model serves."""
    with transaction(sessions) as session:
        return registry.model_named(session, model.name).served_version
