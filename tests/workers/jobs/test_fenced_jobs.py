"""Each kind of job sleeps in a call of its engine until its lease went to another; awake, it changes nothing.

The engine stores what it made, as a real one does; what it stored in vain is swept (`runner`).
"""

import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.methods import repository as methods
from service.core.queue import leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind, JobState
from service.core.registry.models import Model, ModelState
from service.core.registry.policy import Policy
from service.core.requests.certificates import Signatory
from service.core.storage.filesystem import FilesystemStore
from tests.fixtures.dumps import dump, take_away
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import MakeReady, ReadyModel
from workers.engine import messages
from workers.engine.client import AlwaysOn
from workers.engine.messages import StepReport, StoredFile
from workers.jobs import runner
from workers.jobs.context import WEIGHTS, Context
from workers.jobs.runner import JOBS
from workers.settings import WorkerSettings

POLICY = Policy(exact_budget_seconds=0, class_ladder=("ssd",), samples_ladder=("ssd",), exact_at_last=False)
CALLS = {
    JobKind.PREPARE: ("prepare",),
    JobKind.UNLEARN: ("unlearn", "audit", "carry"),
    JobKind.EXACT: ("unlearn", "audit", "carry"),
    JobKind.ACCEPT: ("carry",),
    JobKind.PURGE: ("sweep",),
    JobKind.REFRESH: ("refresh",),
    JobKind.STUDY: ("study",),
}
"""The calls that each kind of job makes."""


class SleepingEngine:
    """An engine that does what it is asked, and in one call sleeps until the lease has gone to another.

    Args:
        store: Where it puts what it makes.
        sessions: Through which the lease is taken away.
        sleeps_in: Name of the call.
    """

    def __init__(self, store: FilesystemStore, sessions: Sessions, sleeps_in: str) -> None:
        self._store = store
        self._sessions = sessions
        self._sleeps_in = sleeps_in
        self.lease: Lease | None = None
        self.before: dict[str, list[str]] | None = None
        self.is_stopped = False
        self.pid = os.getpid()

    def call(self, asked: Any, expected: Any, *_rest: object) -> Any:
        """Answer."""
        reply = getattr(self, f"_{asked.call}")(asked)
        if asked.call == self._sleeps_in:
            assert self.lease is not None
            take_away(self._sessions, self.lease.job_id)
            self.before = dump(self._sessions)
        return reply

    def stop(self) -> None:
        """Note that it was killed."""
        self.is_stopped = True

    def _prepare(self, asked: messages.Prepare) -> messages.PrepareReply:
        Path(asked.lineage_path).write_text("")
        files = (self._file(WEIGHTS, asked.model.space),)
        return messages.PrepareReply(
            num_classes=4, training_seconds=1.0, manifest_digest="1" * 64, facts={}, files=files
        )

    def _unlearn(self, asked: messages.Unlearn) -> messages.UnlearnReply:
        steps = tuple(
            StepReport(
                kind=step.kind, method=step.method, method_version="1", parameters={}, seconds=0.1,
                guarantee="approximate", caveats=(), diagnostics={},
            )
            for step in asked.steps
        )  # fmt: skip
        return messages.UnlearnReply(weights=self._file(WEIGHTS, asked.model.space), steps=steps)

    def _audit(self, asked: messages.Audit) -> messages.AuditReply:
        report = {"suite": "1", "verdict": "pass", "guarantee": asked.guarantee, "checks": []}
        return messages.AuditReply(report=report)

    def _carry(self, asked: messages.Carry) -> messages.CarryReply:
        return messages.CarryReply(files=(asked.weights,), facts={})

    def _refresh(self, asked: messages.Refresh) -> messages.RefreshReply:
        file = self._file("prepared/codes.safetensors", asked.model.space, is_public=False)
        return messages.RefreshReply(files=(file,))

    def _sweep(self, asked: messages.Sweep) -> messages.SweepReply:
        return messages.SweepReply(files=())

    def _study(self, asked: messages.Study) -> messages.StudyReply:
        bank = self._file("prepared/bank.safetensors", asked.model.space, is_public=False)
        return messages.StudyReply(
            files=(bank,), is_done=False, seconds=1.0, given_up={}, references={}, promise=[], left_out=()
        )

    def _file(self, name: str, space: str, *, is_public: bool = True) -> StoredFile:
        stored = self._store.put(space, [uuid.uuid4().bytes])
        return StoredFile(name=name, sha256=stored.sha256, size=stored.size, is_public=is_public)


@pytest.fixture
def model(make_ready: MakeReady, sessions: Sessions) -> ReadyModel:
    """A model whose training was in shards, so that its purge asks the engine too."""
    ready = make_ready("m", policy=POLICY)
    rest = {"version": "1", "kinds": ["class", "samples"], "needs": [], "parameters": {}}
    prose = {"summary": "", "caveats": [], "experimental": None}
    with transaction(sessions) as session:
        described = [
            {"name": name, "guarantee": guarantee, **rest, **prose}
            for name, guarantee in (("ssd", "approximate"), ("retrain", "exact"))
        ]
        methods.publish(session, described)
        session.get_one(Model, ready.id).training = {"epochs": 3, "slices": 2}
    return ready


@pytest.fixture
def context(
    sessions: Sessions, store: FilesystemStore, signatory: Signatory, tmp_path: Path, database_url: str
) -> Context:
    settings = WorkerSettings(database_url=database_url, data_dir=tmp_path, broker_url="redis://127.0.0.1:1")
    nothing: Any = None
    return Context(settings, sessions, store, nothing, signatory, owner="tester")


def arrange(kernel: Kernel, sessions: Sessions, model: ReadyModel, kind: JobKind) -> uuid.UUID:
    """Let there be work of a kind, and nothing else, for a model; return its job."""
    if kind == JobKind.ACCEPT:
        request = kernel.ask_samples(model, 1)
        kernel.refuse(model)
        kernel.accept(request)
    elif kind in (JobKind.UNLEARN, JobKind.EXACT):
        kernel.ask_samples(model, 1)
    with transaction(sessions) as session:
        row = session.get_one(Model, model.id)
        if kind == JobKind.PREPARE:
            row.served_version, row.state, row.upload_sha256 = None, ModelState.PREPARING, "0" * 64
        job_id = queue.enqueue(session, model.id, kind)
        others = select(Job).where(Job.model_id == model.id, Job.id != job_id)
        for job in session.scalars(others):
            job.state = JobState.DONE
    return job_id


@pytest.mark.parametrize(("kind", "call"), [(kind, call) for kind, calls in CALLS.items() for call in calls])
def test_a_job_that_sleeps_past_its_lease_writes_nothing_on_waking(
    context: Context,
    kernel: Kernel,
    sessions: Sessions,
    store: FilesystemStore,
    model: ReadyModel,
    kind: JobKind,
    call: str,
) -> None:
    job_id = arrange(kernel, sessions, model, kind)
    engine = SleepingEngine(store, sessions, call)
    with transaction(sessions) as session:
        engine.lease = leases.claim(session, job_id, "tester", 30.0)
    assert engine.lease is not None and engine.lease.kind == kind

    with pytest.raises(errors.LeaseLost):
        JOBS[kind](replace(context, engine=engine), engine.lease, AlwaysOn())  # type: ignore[arg-type]

    assert engine.before is not None, f"{kind} made no call {call}"
    assert dump(sessions) == engine.before


def test_every_kind_of_job_is_listed_here() -> None:
    assert {*CALLS} == {*JobKind} == {*JOBS}


def test_a_worker_that_lost_its_lease_kills_its_engine_and_has_what_it_wrote_swept(
    context: Context,
    kernel: Kernel,
    sessions: Sessions,
    store: FilesystemStore,
    model: ReadyModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = arrange(kernel, sessions, model, JobKind.UNLEARN)
    engine = SleepingEngine(store, sessions, "audit")
    zombie = replace(context, engine=engine)  # type: ignore[arg-type]
    claim = leases.claim_next

    def claimed(*given: Any, **named: Any) -> Lease | None:
        engine.lease = claim(*given, **named)
        return engine.lease

    monkeypatch.setattr(leases, "claim_next", claimed)

    runner.run_job(zombie, job_id)

    assert engine.is_stopped
    (orphan,) = store.digests(model.id.hex)
    with transaction(sessions) as session:
        query = select(Job.id).where(Job.kind == JobKind.PURGE, Job.state == JobState.READY)
        purge_id = session.scalars(query).one()
        session.get_one(Job, job_id).state = JobState.DONE
    runner.run_job(replace(context, engine=SleepingEngine(store, sessions, "")), purge_id)  # type: ignore[arg-type]
    assert orphan not in [*store.digests(model.id.hex)]
