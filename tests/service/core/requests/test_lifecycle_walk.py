"""Random walks through a request's life: whatever happens, the ledger's story ends where the row stands.

Laws, after every step: a request's row says what its last ledger entry of a state says; each entry's `from`
is the state that the entry before it told; every step is legal; a request that waits has a job that will
serve it; and a model's served version only grows.
"""

from itertools import pairwise
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from service.core import errors
from service.core.db.session import transaction
from service.core.queue import endings
from service.core.queue.leases import Lease
from service.core.queue.models import JobKind, JobState
from service.core.registry.models import Model, Version
from service.core.registry.policy import Policy
from service.core.requests import acceptance, broken, cancellation, lifecycle, runs
from service.core.requests.acceptance import Acceptance
from service.core.requests.assignments import Assignment
from service.core.requests.models import ForgetRequest
from service.core.requests.runs import Kept
from service.core.requests.states import ALLOWED, IN_RUN, Status
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import NUM_CLASSES, MakeReady, ReadyModel, files_of_version

MAX_ATTEMPTS = 3


class Walk(RuleBasedStateMachine):
    """A caller, a worker, a relay and a person act on one model in any order."""

    def __init__(self, kernel: Kernel, make_ready: MakeReady) -> None:
        super().__init__()
        self.kernel = kernel
        self.make_ready = make_ready

    @initialize(is_guarded=st.booleans(), is_strict=st.booleans(), is_masking=st.booleans())
    def register(self, is_guarded: bool, is_strict: bool, is_masking: bool) -> None:
        name = f"model-{uuid4().hex}"
        policy = Policy(
            approval_required=is_guarded,
            complete_on="exact" if is_strict else "audit_pass",
            suppress_first=is_masking,
        )
        self.is_strict = is_strict
        self.model: ReadyModel = self.make_ready(name, name, policy)
        self.lease: Lease | None = None
        self.assignment: Assignment | None = None
        self.accepted: Acceptance | None = None
        self.is_audited = False
        self.version = 1

    @rule(label=st.integers(0, NUM_CLASSES - 2))
    def ask_class(self, label: int) -> None:
        self.kernel.ask_classes(self.model, label)

    @rule(position=st.integers(0, 20))
    def ask_sample(self, position: int) -> None:
        self.kernel.ask_samples(self.model, position)

    @rule(choice=st.integers(0, 5), deed=st.sampled_from(["cancel", "approve", "deny", "extend", "accept"]))
    def decide(self, choice: int, deed: str) -> None:
        requests = self.requests()
        if requests:
            request_id = requests[choice % len(requests)].id
            try:
                with transaction(self.kernel.sessions) as session:
                    if deed == "cancel":
                        cancellation.cancel(session, request_id, "someone")
                    elif deed == "accept":
                        acceptance.accept(session, request_id, "someone", "reason")
                    else:
                        getattr(lifecycle, deed)(session, request_id, "someone", "reason")
            except errors.Conflict:
                pass

    @rule()
    def work(self) -> None:
        """Let the worker take its next step, unless its lease was revoked."""
        try:
            self.take_a_step()
        except errors.LeaseLost:
            self.forget_the_lease()

    def take_a_step(self) -> None:
        """Claim, take, audit or publish, whatever comes next."""
        if self.lease is None:
            self.lease = self.kernel.claim(self.model)
        elif self.accepted is not None:
            self.version = self.kernel.finish_accepted(self.model, self.lease, self.accepted).number
            self.forget_the_lease()
        elif self.assignment is None:
            with transaction(self.kernel.sessions) as session:
                if self.lease.kind in (JobKind.UNLEARN, JobKind.EXACT):
                    self.assignment = runs.take(session, self.lease)
                elif self.lease.kind == JobKind.ACCEPT:
                    self.accepted = acceptance.take_accepted(session, self.lease)
                else:
                    endings.finish(session, self.lease)
            if self.assignment is None and self.accepted is None:
                self.lease = None
        elif not self.is_audited:
            self.kernel.audit(self.lease, self.assignment)
            self.is_audited = True
        else:
            self.version = self.publish(self.lease, self.assignment).number
            self.forget_the_lease()

    def publish(self, lease: Lease, assignment: Assignment) -> Version:
        """Publish as the policy says: a mask and what is not exact are interim versions."""
        if assignment.is_masked_first:
            return self.kernel.publish_interim(self.model, lease, assignment, "suppressed")
        if self.is_strict and not assignment.is_exact_only:
            return self.kernel.publish_interim(self.model, lease, assignment, "approximate")
        return self.kernel.publish(self.model, lease, assignment)

    @rule()
    def wait(self) -> None:
        """Let time pass until whatever was put off is due."""
        self.kernel.make_due(self.model)

    @rule(ending=st.sampled_from(["refuse", "fail", "retry", "lose"]))
    def stumble(self, ending: str) -> None:
        """Let the worker's attempt end badly, unless its lease was revoked."""
        try:
            self.end_badly(ending)
        except errors.LeaseLost:
            self.forget_the_lease()

    def end_badly(self, ending: str) -> None:
        """End the attempt."""
        if self.lease is None:
            return
        with transaction(self.kernel.sessions) as session:
            if ending == "refuse" and self.assignment is not None:
                runs.refuse(session, self.lease, self.assignment.run_id, self.kept())
            elif ending == "fail":
                broken.fail(session, self.lease, "broken", code="broken")
            elif ending == "retry":
                broken.retry(session, self.lease, "try again")
            else:
                ending = "lose"
        if ending == "lose":
            self.kernel.expire(self.lease)
            with transaction(self.kernel.sessions) as session:
                broken.reap(session, MAX_ATTEMPTS)
        if ending == "retry":
            self.kernel.make_due(self.model)
        self.forget_the_lease()

    def kept(self) -> Kept | None:
        """What a refused run keeps: its candidate, if it came so far."""
        if not self.is_audited:
            return None
        files = files_of_version(f"candidate {uuid4()}", 0)[:1]
        return Kept(files, "approximate", "fail", is_retrained=False, rung=0)

    @invariant()
    def story_and_row_agree(self) -> None:
        for request in self.requests():
            told = [entry for entry in self.kernel.story(request.id) if "from" in entry.body]
            states = [Status.RECEIVED] + [Status(entry.kind.removeprefix("request.")) for entry in told]
            assert states[-1] == request.status
            assert [entry.body["from"] for entry in told] == states[:-1]
            assert all(later in ALLOWED[earlier] for earlier, later in pairwise(states))

    @invariant()
    def whoever_waits_has_a_job(self) -> None:
        statuses = {request.status for request in self.requests()}
        if Status.QUEUED in statuses or statuses & IN_RUN:
            open_jobs = [
                job
                for kind in (JobKind.UNLEARN, JobKind.EXACT)
                for job in self.kernel.jobs(self.model, kind)
                if job.state in (JobState.READY, JobState.RUNNING)
            ]
            assert open_jobs, "a request waits for a job that is not there"
        if Status.ACCEPTED in statuses:
            states = [job.state for job in self.kernel.jobs(self.model, JobKind.ACCEPT)]
            assert {JobState.READY, JobState.RUNNING} & {*states}, "what was accepted has no job"

    @invariant()
    def served_version_is_the_last_published(self) -> None:
        with transaction(self.kernel.sessions) as session:
            model = session.get_one(Model, self.model.id)
            assert (model.served_version, model.revocation_floor) == (self.version, self.version)

    def requests(self) -> list[ForgetRequest]:
        """All requests of the model, oldest first."""
        with transaction(self.kernel.sessions) as session:
            query = select(ForgetRequest).where(ForgetRequest.model_id == self.model.id)
            return list(session.scalars(query.order_by(ForgetRequest.id)))

    def forget_the_lease(self) -> None:
        """Let the worker be idle."""
        self.lease, self.assignment, self.accepted, self.is_audited = None, None, None, False


def test_story_and_state_agree_on_every_walk(kernel: Kernel, make_ready: MakeReady) -> None:
    class WalkHere(Walk):
        def __init__(self) -> None:
            super().__init__(kernel, make_ready)

    run_state_machine_as_test(
        WalkHere,
        settings=settings(
            max_examples=10,
            stateful_step_count=20,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
