"""Serves every request that waits for a model: rung after rung, until the audit passes one.

Nothing is decided in the engine: it computes a candidate and its report, and this file moves the run and its
requests through their states, one fenced transaction a step.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from service.core import logging
from service.core.db.session import transaction
from service.core.methods import repository as methods
from service.core.queue.repository import Lease
from service.core.registry.models import Model
from service.core.registry.policy import Policy
from service.core.requests import runs
from service.core.requests.runs import Assignment, Publication
from workers.engine import messages
from workers.engine.client import Pulse
from workers.engine.errors import EngineRefused
from workers.engine.messages import ModelSpec, Step, StoredFile, UnlearnReply, UpdateLogRef
from workers.jobs import plan, records, reports
from workers.jobs.context import Context, files_of, is_sharded, spec_of
from workers.jobs.prepare import named
from workers.jobs.progress import Reporter
from workers.settings import WorkerSettings

ACCEPTED = "pass"
STRENGTH = ("exact", "certified", "approximate", "suppressed")
"""Guarantees, strongest first; a run of several steps may claim the weakest of theirs."""

RUNG_FAILURES = frozenset(
    {
        "missing_need",
        "unsupported_kind",
        "invalid_parameters",
        "ineffective",
        "budget_spent",
        "diverged",
        "impossible_request",
    }
)
"""Reasons of one method that another may not share: the next rung is tried."""

log = logging.get(__name__)


@dataclass(frozen=True)
class Workpiece:
    """A run's assignment with all that its rungs share."""

    assignment: Assignment
    spec: ModelSpec
    base: tuple[StoredFile, ...]
    policy: Policy
    rungs: list[tuple[Step, ...]]
    update_log: UpdateLogRef | None


@dataclass(frozen=True)
class Candidate:
    """A rung's outcome that passed its audit."""

    rung: tuple[Step, ...]
    unlearned: UnlearnReply
    guarantee: str


def unlearn(context: Context, lease: Lease, pulse: Pulse) -> None:
    """Take what waits, forget it, and publish or hand it to a person.

    Raises:
        errors.LeaseLost: Another worker owns the job.
        EngineError: The data cannot be read, or the engine broke.
        errors.LetheError: The store or the database is out.
    """
    with transaction(context.sessions) as session:
        assignment = runs.take(session, lease)
        if assignment is None:
            return
        model = session.get_one(Model, lease.model_id)
        base = files_of(session, model, assignment.base_version)
        policy = Policy.model_validate(model.policy)
        log_ref = records.usable(session, context.settings.records_dir, model)
        terrain = plan.Terrain(
            offers={
                entry.name: plan.Offer.of(entry.name, entry.guarantee, entry.description)
                for entry in methods.all_methods(session)
            },
            has_codes=any(file.name == "prepared/codes.safetensors" for file in base),
            has_head=any(file.name == "prepared/head.safetensors" for file in base),
            has_recipe=_has_recipe(context.settings, model),
            has_update_log=log_ref is not None,
            training_seconds=model.training_seconds,
            shards=model.training.get("shards", 1),
            has_slices=is_sharded(model.training),
        )
        spec = spec_of(session, model)
    work = Workpiece(assignment, spec, base, policy, plan.ladder(assignment, policy, terrain), log_ref)
    log.info("run.started", run=str(assignment.run_id), rungs=len(work.rungs))
    candidate = _climb(context, lease, pulse, work)
    if candidate is None:
        with transaction(context.sessions) as session:
            runs.refuse(session, lease, assignment.run_id)
        log.warning("run.refused", run=str(assignment.run_id))
        return
    _publish(context, lease, pulse, work, candidate)


def _climb(context: Context, lease: Lease, pulse: Pulse, work: Workpiece) -> Candidate | None:
    """Try rung after rung and return the first candidate that passes, or None."""
    run_id = work.assignment.run_id
    is_auditing = False
    for rung in work.rungs:
        if is_auditing:
            with transaction(context.sessions) as session:
                runs.next_rung(session, lease, run_id)
            is_auditing = False
        unlearned = _forget(context, lease, pulse, work, rung)
        if unlearned is None:
            continue
        record = {"steps": [step.model_dump(mode="json") for step in unlearned.steps], "audit": None}
        with transaction(context.sessions) as session:
            runs.begin_audit(session, lease, run_id, record)
        is_auditing = True
        report = _audit(context, pulse, work, rung, unlearned)
        with transaction(context.sessions) as session:
            runs.note_audit(session, lease, run_id, report)
        log.info("run.audited", run=str(run_id), verdict=report["verdict"], guarantee=report["guarantee"])
        if report["verdict"] == ACCEPTED:
            return Candidate(rung, unlearned, report["guarantee"])
    return None


def _forget(
    context: Context, lease: Lease, pulse: Pulse, work: Workpiece, rung: tuple[Step, ...]
) -> UnlearnReply | None:
    """Run a rung's steps; None when its method cannot serve this problem and another may."""
    asked = messages.Unlearn(
        model=work.spec,
        base=work.base,
        steps=rung,
        forgotten_classes=work.assignment.forgotten_classes,
        forgotten_positions=work.assignment.forgotten_positions,
        update_log=work.update_log,
        seed=work.assignment.seed,
    )
    try:
        return context.engine.call(asked, messages.UnlearnReply, pulse, _reporter(context, work))
    except EngineRefused as error:
        if error.code not in RUNG_FAILURES:
            raise
        log.warning("run.rung_failed", run=str(work.assignment.run_id), code=error.code)
        with transaction(context.sessions) as session:
            runs.note_failed_rung(
                session, lease, work.assignment.run_id, [step.method for step in rung], error.code, str(error)
            )
        return None


def _audit(
    context: Context, pulse: Pulse, work: Workpiece, rung: tuple[Step, ...], unlearned: UnlearnReply
) -> dict[str, Any]:
    asked = messages.Audit(
        model=work.spec,
        base=work.base,
        weights_sha256=unlearned.weights.sha256,
        groups=plan.groups_of(work.assignment),
        forgotten_classes=work.assignment.forgotten_classes,
        forgotten_positions=work.assignment.forgotten_positions,
        guarantee=weakest(step.guarantee for step in unlearned.steps),
        limits=work.policy.audit_limits,
        seed=work.assignment.seed,
    )
    return context.engine.call(asked, messages.AuditReply, pulse, _reporter(context, work)).report


def _publish(context: Context, lease: Lease, pulse: Pulse, work: Workpiece, candidate: Candidate) -> None:
    asked = messages.Carry(
        model=work.spec,
        base=work.base,
        weights=candidate.unlearned.weights,
        left=candidate.unlearned.left,
        groups=plan.groups_of(work.assignment),
        is_retrained=any(step.guarantee == plan.EXACT for step in candidate.unlearned.steps),
        forgotten_classes=work.assignment.forgotten_classes,
        forgotten_positions=work.assignment.forgotten_positions,
        guarantee=candidate.guarantee,
    )
    carried = context.engine.call(asked, messages.CarryReply, pulse, _reporter(context, work))
    files = (*named(carried.files), *reports.keep(context, work.assignment.run_id, candidate.guarantee))
    publication = Publication(files, candidate.guarantee, carried.facts)
    with transaction(context.sessions) as session:
        version = runs.publish(session, lease, work.assignment, publication, context.signatory)
    log.info("run.published", run=str(work.assignment.run_id), version=version.number)


def _has_recipe(settings: WorkerSettings, model: Model) -> bool:
    """Whether the weights that the model's recipe starts from are here, or it draws its own."""
    digest = model.training.get("initial")
    return digest is None or (settings.initial_dir / f"{digest}.safetensors").is_file()


def weakest(guarantees: Iterable[str]) -> str:
    """Return the weakest of some guarantees."""
    return max(guarantees, key=STRENGTH.index)


def _weights(files: tuple[StoredFile, ...]) -> StoredFile:
    return next(file for file in files if file.name == "model.safetensors")


def _reporter(context: Context, work: Workpiece) -> Callable[[str, float], None]:
    return Reporter(context.sessions, work.assignment.run_id)
