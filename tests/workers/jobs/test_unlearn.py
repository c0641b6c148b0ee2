"""From a run's rungs to what becomes of its requests: an engine that follows a script, a real database."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.core.db.session import Sessions, transaction
from service.core.ledger import certificate
from service.core.ledger import repository as ledger
from service.core.methods import repository as methods
from service.core.queue import endings
from service.core.queue import repository as queue
from service.core.queue.models import Job, JobKind, JobState
from service.core.registry import repository as registry
from service.core.registry.models import Model, Version
from service.core.registry.policy import Policy
from service.core.requests import acceptance
from service.core.requests.certificates import Signatory
from service.core.requests.models import ForgetRequest
from service.core.requests.states import Status
from service.core.storage.filesystem import FilesystemStore
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import MakeReady, ReadyModel
from workers.engine import messages
from workers.engine.client import AlwaysOn
from workers.engine.errors import EngineRefused
from workers.engine.messages import StepReport, StoredFile
from workers.jobs.accept import accept
from workers.jobs.context import UNMASKED, WEIGHTS, Context
from workers.jobs.purge import purge
from workers.jobs.refresh import refresh
from workers.jobs.unlearn import unlearn
from workers.settings import WorkerSettings

GUARANTEES = {
    "ssd": "approximate",
    "one_shot": "approximate",
    "retrain": "exact",
    "output_mask": "suppressed",
}
DEAR = {"exact_budget_seconds": 1.0}


@dataclass
class ScriptedEngine:
    """An engine whose candidates are the names of their methods, and whose audits say what the script says.

    Attributes:
        store: Where candidates are put.
        verdicts: What the audit says of a method's candidate; `useless` refuses to make one.
        asked: Every call.
    """

    store: FilesystemStore
    verdicts: Mapping[str, str]
    asked: list[Any] = field(default_factory=list)

    def call(self, asked: Any, *_rest: object) -> Any:
        """Answer."""
        self.asked.append(asked)
        if isinstance(asked, messages.Unlearn):
            return self._unlearn(asked)
        if isinstance(asked, messages.Audit):
            return messages.AuditReply(report=self._audit(asked))
        if isinstance(asked, messages.Refresh):
            return messages.RefreshReply(files=())
        config = self._file("config.json", asked.guarantee, asked.model.space, is_public=True)
        return messages.CarryReply(files=(asked.weights, config, *asked.left), facts={"accuracy": 0.9})

    def _unlearn(self, asked: messages.Unlearn) -> messages.UnlearnReply:
        names = [step.method for step in asked.steps]
        if "useless" in {self.verdicts.get(name) for name in names}:
            failure = messages.Failure(code="ineffective", text="It cannot serve this.", is_retryable=False)
            raise EngineRefused(failure)
        return messages.UnlearnReply(
            weights=self._file(WEIGHTS, "+".join(dict.fromkeys(names)), asked.model.space, is_public=True),
            steps=tuple(_report(step) for step in asked.steps),
        )

    def _audit(self, asked: messages.Audit) -> dict[str, Any]:
        method = next(
            name
            for name in self.verdicts
            if asked.weights_sha256 == hashlib.sha256(name.encode()).hexdigest()
        )
        verdict = self.verdicts[method]
        finite = {"name": "finite", "value": 0.0, "interval": None, "threshold": 0.0, "detail": ""}
        return {
            "suite": "1",
            "verdict": "fail" if verdict == "nan" else verdict,
            "guarantee": asked.guarantee,
            "checks": [{**finite, "passed": verdict != "nan"}],
        }

    def _file(self, name: str, content: str, space: str, *, is_public: bool) -> StoredFile:
        stored = self.store.put(space, [content.encode()])
        return StoredFile(name=name, sha256=stored.sha256, size=stored.size, is_public=is_public)


def _report(step: messages.Step) -> StepReport:
    return StepReport(
        kind=step.kind,
        method=step.method,
        method_version="1",
        parameters={},
        guarantee=GUARANTEES[step.method],
        caveats=(),
        seconds=0.1,
        diagnostics={},
    )


@dataclass(frozen=True)
class Bench:
    """A worker with a scripted engine, and the kernel whose requests it serves."""

    context: Context
    kernel: Kernel
    engine: ScriptedEngine

    def work(self, model: ReadyModel, *kinds: JobKind) -> None:
        """Do a model's jobs of these kinds until none is ready; jobs of others are closed undone."""
        jobs = {
            JobKind.UNLEARN: unlearn,
            JobKind.EXACT: unlearn,
            JobKind.ACCEPT: accept,
            JobKind.PURGE: purge,
            JobKind.REFRESH: refresh,
        }
        while (lease := self.kernel.claim(model)) is not None:
            if lease.kind in kinds:
                jobs[lease.kind](self.context, lease, AlwaysOn())
            else:
                with transaction(self.context.sessions) as session:
                    endings.finish(session, lease)

    def files(self, model: ReadyModel) -> dict[str, str]:
        """Name and content of every file of the served version that is in the store."""
        with transaction(self.context.sessions) as session:
            row = session.get_one(Model, model.id)
            version = registry.version_numbered(session, model.id, row.served_version or 0)
            named = {file.name: file.sha256 for file in registry.files_of(session, version.id)}
        kept = {*self.context.store.digests(model.id.hex)}
        return {
            name: self.context.store.read(model.id.hex, sha256).decode() if sha256 in kept else "gone"
            for name, sha256 in named.items()
        }

    def stored(self, model: ReadyModel) -> set[str]:
        """The content of every file that the store has of a model."""
        digests = self.context.store.digests(model.id.hex)
        return {self.context.store.read(model.id.hex, sha256).decode() for sha256 in digests}


@pytest.fixture
def make_bench(
    sessions: Sessions,
    store: FilesystemStore,
    signatory: Signatory,
    kernel: Kernel,
    tmp_path: Path,
    database_url: str,
) -> Any:
    """Make a worker whose audits say what a script says of each method."""
    with transaction(sessions) as session:
        methods.publish(session, [_described(name, claimed) for name, claimed in GUARANTEES.items()])

    def make(**verdicts: str) -> Bench:
        settings = WorkerSettings(
            database_url=database_url, data_dir=tmp_path, broker_url="redis://127.0.0.1:1"
        )
        engine = ScriptedEngine(store, verdicts)
        context = Context(settings, sessions, store, engine, signatory, owner="tester")  # type: ignore[arg-type]
        return Bench(context, kernel, engine)

    return make


def _described(name: str, guarantee: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1",
        "guarantee": guarantee,
        "kinds": ["class"] if name == "output_mask" else ["class", "samples"],
        "needs": [],
        "summary": "",
        "caveats": [],
        "experimental": None,
        "parameters": {},
    }


def accepted(kernel: Kernel, request: ForgetRequest) -> None:
    """Accept a request's candidate."""
    with transaction(kernel.sessions) as session:
        acceptance.accept(session, request.id, "officer", "risk_assessed")


def verdict_of(kernel: Kernel, request: ForgetRequest) -> tuple[str, str]:
    """Verdict and guarantee in a request's certificate."""
    with transaction(kernel.sessions) as session:
        found = ledger.certificate_of(session, request.id)
    assert found is not None
    claim = certificate.verify(found.envelope, kernel.signatory.signer.verifier)
    return claim.audit.verdict, claim.method.guarantee


def test_the_best_candidate_of_a_refused_run_outlives_the_purge_and_the_others_do_not(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel
) -> None:
    bench = make_bench(ssd="inconclusive", one_shot="fail")
    model = make_ready("m", policy=Policy(class_ladder=("ssd", "one_shot"), exact_at_last=False, **DEAR))
    request = kernel.ask_classes(model, 3)

    bench.work(model, JobKind.UNLEARN, JobKind.PURGE)

    assert kernel.request(request.id).status == Status.NEEDS_REVIEW
    assert bench.stored(model) == {"ssd"}


def test_an_accepted_candidate_is_published_with_its_own_rung_though_another_came_last(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel
) -> None:
    bench = make_bench(ssd="inconclusive", one_shot="fail")
    model = make_ready("m", policy=Policy(class_ladder=("ssd", "one_shot"), exact_at_last=False, **DEAR))
    request = kernel.ask_classes(model, 3)
    bench.work(model, JobKind.UNLEARN, JobKind.PURGE)

    accepted(kernel, request)
    bench.work(model, JobKind.ACCEPT, JobKind.PURGE)

    assert kernel.request(request.id).status == Status.COMPLETED
    assert bench.files(model)[WEIGHTS] == "ssd"
    assert verdict_of(kernel, request) == ("inconclusive", "approximate")


def test_a_retrained_candidate_that_failed_is_accepted_as_no_more_than_approximate(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel
) -> None:
    bench = make_bench(retrain="fail")
    model = make_ready("m", policy=Policy(class_ladder=("retrain",)))
    request = kernel.ask_classes(model, 3)
    bench.work(model, JobKind.UNLEARN)

    accepted(kernel, request)
    bench.work(model, JobKind.ACCEPT)

    assert verdict_of(kernel, request) == ("fail", "approximate")


def test_a_candidate_without_answers_is_kept_for_nobody(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel
) -> None:
    bench = make_bench(ssd="nan")
    model = make_ready("m", policy=Policy(class_ladder=("ssd",), exact_at_last=False, **DEAR))
    request = kernel.ask_classes(model, 3)

    bench.work(model, JobKind.UNLEARN, JobKind.PURGE)

    assert kernel.request(request.id).status == Status.NEEDS_REVIEW
    assert bench.stored(model) == set()


def test_an_undecided_candidate_is_published_only_if_the_policy_accepts_it_and_nothing_passed(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel
) -> None:
    ladder = ("ssd", "one_shot")
    policy = Policy(class_ladder=ladder, exact_at_last=False, accept_inconclusive=True, **DEAR)
    passing, doubtful = make_ready("passing", policy=policy), make_ready("doubtful", policy=policy)
    for model in (passing, doubtful):
        kernel.ask_classes(model, 3)
    asked = kernel.ask_classes(doubtful, 2)

    make_bench(ssd="inconclusive", one_shot="pass").work(passing, JobKind.UNLEARN)
    bench = make_bench(ssd="inconclusive", one_shot="useless")
    bench.work(doubtful, JobKind.UNLEARN)

    assert bench.files(passing)[WEIGHTS] == "one_shot"
    assert bench.files(doubtful)[WEIGHTS] == "ssd"
    assert verdict_of(kernel, asked) == ("inconclusive", "approximate")


def test_what_passes_is_interim_where_only_exact_retraining_closes_requests(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel, sessions: Sessions
) -> None:
    bench = make_bench(ssd="pass", retrain="pass")
    policy = Policy(class_ladder=("ssd",), samples_ladder=("ssd",), complete_on="exact", **DEAR)
    model = make_ready("m", policy=policy)
    asked = [kernel.ask_classes(model, 3), kernel.ask_samples(model, 1)]

    bench.work(model, JobKind.UNLEARN, JobKind.REFRESH)

    assert {kernel.request(one.id).reason for one in asked} == {"interim_published"}
    (told,) = [call for call in bench.engine.asked if isinstance(call, messages.Refresh)]
    assert told.forgotten_classes == (3,)
    assert told.forgotten_positions == (1, *model.trained_on(3))
    kernel.make_due(model)
    bench.work(model, JobKind.EXACT)
    assert {kernel.request(one.id).status for one in asked} == {Status.COMPLETED}
    retraining = [call for call in bench.engine.asked if isinstance(call, messages.Unlearn)][-1]
    assert [step.method for step in retraining.steps] == ["retrain"]
    assert (retraining.steps[0].classes, retraining.steps[0].positions) == ((3,), (1,))
    assert (retraining.forgotten_classes, retraining.forgotten_positions) == ((), ())
    assert verdict_of(kernel, asked[0]) == ("pass", "exact")
    with transaction(sessions) as session:
        numbers = session.scalars(select(Version.number).where(Version.model_id == model.id)).all()
    assert sorted(numbers) == [1, 2, 3]


def test_a_model_that_cannot_be_retrained_has_a_person_asked_at_once(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel, sessions: Sessions
) -> None:
    bench = make_bench(ssd="pass")
    model = make_ready("m", policy=Policy(class_ladder=("ssd",), complete_on="exact", **DEAR))
    with transaction(sessions) as session:
        entries = [entry for entry in methods.all_methods(session) if entry.name == "retrain"]
        for entry in entries:
            session.delete(entry)
    request = kernel.ask_classes(model, 3)

    bench.work(model, JobKind.UNLEARN, JobKind.EXACT)

    row = kernel.request(request.id)
    assert row.status == Status.NEEDS_REVIEW and row.interim is not None


def test_a_mask_answers_first_and_the_ladder_goes_on_from_the_weights_without_it(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel, sessions: Sessions, store: FilesystemStore
) -> None:
    bench = make_bench(output_mask="pass", ssd="pass")
    model = make_ready("m", policy=Policy(class_ladder=("ssd",), suppress_first=True, **DEAR))
    request = kernel.ask_classes(model, 3)
    with transaction(sessions) as session:
        version = registry.version_numbered(session, model.id, 1)
        before = {file.name: file.sha256 for file in registry.files_of(session, version.id)}
    lease = kernel.claim(model)
    assert lease is not None

    unlearn(bench.context, lease, AlwaysOn())

    row = kernel.request(request.id)
    assert row.status == Status.QUEUED and row.interim is not None
    assert row.interim["guarantee"] == "suppressed"
    assert bench.files(model)[WEIGHTS] == "output_mask"
    with transaction(sessions) as session:
        version = registry.version_numbered(session, model.id, 2)
        files = {file.name: file for file in registry.files_of(session, version.id)}
    assert (files[UNMASKED].sha256, files[UNMASKED].is_public) == (before[WEIGHTS], False)
    assert files["prepared/codes.safetensors"].sha256 == before["prepared/codes.safetensors"]
    bench.work(model, JobKind.UNLEARN, JobKind.PURGE)
    climbing = [call for call in bench.engine.asked if isinstance(call, messages.Unlearn)][-1]
    assert {file.name: file.sha256 for file in climbing.base}[WEIGHTS] == before[WEIGHTS]
    assert kernel.request(request.id).status == Status.COMPLETED
    assert UNMASKED not in bench.files(model) and bench.files(model)[WEIGHTS] == "ssd"


def test_a_mask_is_never_the_last_word_unless_a_person_accepts_it(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel
) -> None:
    bench = make_bench(output_mask="pass", ssd="fail")
    policy = Policy(class_ladder=("ssd",), suppress_first=True, exact_at_last=False, **DEAR)
    model = make_ready("m", policy=policy)
    request = kernel.ask_classes(model, 3)

    bench.work(model, JobKind.UNLEARN, JobKind.PURGE, JobKind.REFRESH)

    row = kernel.request(request.id)
    assert row.status == Status.NEEDS_REVIEW and row.interim is not None
    accepted(kernel, request)
    bench.work(model, JobKind.ACCEPT)
    assert kernel.request(request.id).status == Status.COMPLETED
    assert verdict_of(kernel, request) == ("pass", "suppressed")
    assert UNMASKED not in bench.files(model)


def test_a_model_that_cannot_be_masked_climbs_its_ladder_in_the_same_run(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel
) -> None:
    bench = make_bench(output_mask="useless", ssd="pass")
    model = make_ready("m", policy=Policy(class_ladder=("ssd",), suppress_first=True, **DEAR))
    request = kernel.ask_classes(model, 3)

    bench.work(model, JobKind.UNLEARN)

    row = kernel.request(request.id)
    assert (row.status, row.interim) == (Status.COMPLETED, None)
    assert [rung.get("methods") for rung in kernel.run(row.run_id).rungs] == [["output_mask"], None]


def test_a_masked_version_is_not_refreshed(
    make_bench: Any, make_ready: MakeReady, kernel: Kernel, sessions: Sessions
) -> None:
    bench = make_bench(output_mask="pass", ssd="fail")
    policy = Policy(class_ladder=("ssd",), suppress_first=True, exact_at_last=False, **DEAR)
    model = make_ready("m", policy=policy)
    kernel.ask_classes(model, 3)
    bench.work(model, JobKind.UNLEARN)
    with transaction(sessions) as session:
        queue.enqueue(session, model.id, JobKind.REFRESH)

    bench.work(model, JobKind.REFRESH)

    assert UNMASKED in bench.files(model)
    assert not [call for call in bench.engine.asked if isinstance(call, messages.Refresh)]
    with transaction(sessions) as session:
        states = session.scalars(select(Job.state).where(Job.model_id == model.id)).all()
    assert set(states) == {JobState.DONE}
