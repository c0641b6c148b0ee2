"""Serves every request that waits for a model: rung after rung, until the audit passes one.

Nothing is decided in the engine: it computes a candidate and its report, and this file moves the run and its
requests through their states, one fenced transaction a step.

What passes closes the requests, or is an interim version where the policy wants them closed by exact
retraining only. A mask over an output is never more than an interim version. Where nothing passes, the best
candidate is published if the policy accepts what the audit left undecided, and else kept for a person.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from service.core import logging, tracing
from service.core.db.session import transaction
from service.core.methods import repository as methods
from service.core.queue.leases import Lease
from service.core.registry.models import Model
from service.core.registry.policy import Policy
from service.core.registry.service import NamedFile
from service.core.requests import publishing, repository, runs
from service.core.requests.assignments import Assignment
from service.core.requests.publishing import Publication
from service.core.requests.runs import Kept
from workers.engine import messages
from workers.engine.client import Pulse
from workers.engine.errors import EngineRefused
from workers.engine.messages import ModelSpec, Step, StoredFile, UnlearnReply, UpdateLogRef
from workers.jobs import plan, records, reports, serving, study
from workers.jobs.context import (
    UNMASKED,
    WEIGHTS,
    Context,
    files_of,
    is_masked,
    is_sharded,
    spec_of,
    unmasked,
)
from workers.jobs.prepare import named
from workers.jobs.progress import Reporter
from workers.settings import WorkerSettings

ACCEPTED = "pass"
FAILED, UNDECIDED = "fail", "inconclusive"
UNUSABLE = "finite"
"""A candidate that fails this check gives no answers: it is not kept for anybody."""

STRENGTH = ("exact", "certified", "approximate", "suppressed")
"""Guarantees, strongest first; a run of several steps may claim the weakest of theirs."""

CEILING = "approximate"
"""The most that may be claimed of what no audit has passed."""

PREFERENCE = (UNDECIDED, ACCEPTED, FAILED)
"""Verdicts of what may be kept for a person, best first; what passed is then a mask."""

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
    """A run's assignment with all that its rungs share.

    Attributes:
        base: Files of the version to start from, without the mask if it has one.
        rungs: What to try, in order.
        can_be_exact: Whether the model can be retrained without the assignment's target.
    """

    assignment: Assignment
    spec: ModelSpec
    base: tuple[StoredFile, ...]
    policy: Policy
    rungs: list[tuple[Step, ...]]
    can_be_exact: bool
    update_log: UpdateLogRef | None


@dataclass(frozen=True)
class Candidate:
    """A rung's outcome with its audit.

    Attributes:
        unlearned: The weights, and how they came about.
        guarantee: What may be claimed after the audit.
        verdict: Of the audit.
        rung: Its place among the run's rungs, those without a candidate counted.
    """

    unlearned: UnlearnReply
    guarantee: str
    verdict: str
    rung: int

    @property
    def is_mask(self) -> bool:
        """Whether no more can be claimed than that an output is masked."""
        return self.guarantee == plan.SUPPRESSED

    @property
    def is_retrained(self) -> bool:
        """Whether its weights come from a retraining."""
        return any(step.guarantee == plan.EXACT for step in self.unlearned.steps)

    @property
    def rank(self) -> tuple[int, int, int]:
        """How good it is to keep; the smallest is the best."""
        return (PREFERENCE.index(self.verdict), STRENGTH.index(self.guarantee), -self.rung)


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
        served = files_of(session, model, assignment.base_version)
        base = unmasked(served)
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
            rehearsal=study.recorded(context.store, model.space, base),
        )
        spec = spec_of(session, model)
        calls = repository.calls_of(session, repository.run_by_id(session, assignment.run_id))
    serving.announce(calls, assignment.run_id)
    work = Workpiece(
        assignment,
        spec,
        base,
        policy,
        rungs=_rungs(assignment, policy, terrain, is_masked=is_masked(served)),
        can_be_exact=bool(plan.exact_ladder(assignment, policy, terrain)),
        update_log=log_ref,
    )
    log.info("run.started", run=str(assignment.run_id), rungs=len(work.rungs))
    candidate = _climb(context, lease, pulse, work)
    if candidate is None or not _is_publishable(candidate, work):
        with transaction(context.sessions) as session:
            runs.refuse(session, lease, assignment.run_id, _kept(candidate) if candidate else None)
        log.warning("run.refused", run=str(assignment.run_id))
        return
    _publish(context, lease, pulse, work, candidate)


def _rungs(
    assignment: Assignment, policy: Policy, terrain: plan.Terrain, *, is_masked: bool
) -> list[tuple[Step, ...]]:
    """Return the ladder; with the mask before it, or behind it for a person to accept if all else fails."""
    rungs = plan.ladder(assignment, policy, terrain)
    mask = plan.mask_rung(assignment, policy, terrain)
    if mask is None or assignment.is_exact_only:
        return rungs
    return [mask, *rungs] if assignment.is_masked_first else [*rungs, mask] if is_masked else rungs


def _is_publishable(candidate: Candidate, work: Workpiece) -> bool:
    """Whether no person need decide: it passed, as more than a mask or as a first answer; or policy may."""
    if candidate.verdict == ACCEPTED:
        return not candidate.is_mask or work.assignment.is_masked_first
    return candidate.verdict == UNDECIDED and not candidate.is_mask and work.policy.accept_inconclusive


def _kept(candidate: Candidate) -> Kept:
    """Return what is kept of a candidate for a person."""
    return Kept(
        files=_files_of(candidate.unlearned),
        guarantee=weakest((candidate.guarantee, CEILING)),
        verdict=candidate.verdict,
        is_retrained=candidate.is_retrained,
        rung=candidate.rung,
    )


def _files_of(unlearned: UnlearnReply) -> list[NamedFile]:
    return named((unlearned.weights, *unlearned.left))


def _climb(context: Context, lease: Lease, pulse: Pulse, work: Workpiece) -> Candidate | None:
    """Try rung after rung; return the first candidate that passes, else the best; None if none is usable."""
    run_id = work.assignment.run_id
    is_auditing = False
    usable: list[Candidate] = []
    for number, rung in enumerate(work.rungs):
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
        candidate = Candidate(unlearned, report["guarantee"], report["verdict"], number)
        if candidate.verdict == ACCEPTED and _is_publishable(candidate, work):
            return candidate
        if _is_usable(report):
            usable.append(candidate)
    return min(usable, key=lambda one: one.rank, default=None)


def _is_usable(report: dict[str, Any]) -> bool:
    """Whether a candidate gives answers at all; one that does not is kept for nobody."""
    return all(check["passed"] for check in report["checks"] if check["name"] == UNUSABLE)


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
        is_retrained=candidate.is_retrained,
        forgotten_classes=work.assignment.forgotten_classes,
        forgotten_positions=work.assignment.forgotten_positions,
        guarantee=candidate.guarantee,
    )
    carried = context.engine.call(asked, messages.CarryReply, pulse, _reporter(context, work))
    files = _masked_files(work, carried.files) if candidate.is_mask else carried.files
    facts = {**carried.facts, "verdict": candidate.verdict}
    is_interim = candidate.is_mask or (
        work.policy.complete_on == plan.EXACT and candidate.guarantee != plan.EXACT
    )
    report = reports.keep(
        context,
        work.assignment.run_id,
        candidate.guarantee,
        state="interim" if is_interim else "published",
        decisive=candidate.rung,
    )
    publication = Publication((*named(files), *report), candidate.guarantee, facts, candidate.rung)
    with tracing.span("publish", run=str(work.assignment.run_id)), transaction(context.sessions) as session:
        if is_interim:
            version = publishing.publish_interim(
                session, lease, work.assignment, publication, can_be_exact=work.can_be_exact
            )
        else:
            version = publishing.publish(session, lease, work.assignment, publication, context.signatory)
    log.info("run.published", run=str(work.assignment.run_id), version=version.number, is_interim=is_interim)


def _masked_files(work: Workpiece, carried: tuple[StoredFile, ...]) -> tuple[StoredFile, ...]:
    """Return the files of a masked version: what is served of it, and all that the next run starts from."""
    weights = _weights(work.base)
    return (
        *(file for file in carried if file.is_public),
        *(file for file in work.base if not file.is_public),
        weights.model_copy(update={"name": UNMASKED, "is_public": False}),
    )


def _has_recipe(settings: WorkerSettings, model: Model) -> bool:
    """Whether the weights that the model's recipe starts from are here, or it draws its own."""
    digest = model.training.get("initial")
    return digest is None or (settings.initial_dir / f"{digest}.safetensors").is_file()


def weakest(guarantees: Iterable[str]) -> str:
    """Return the weakest of some guarantees."""
    return max(guarantees, key=STRENGTH.index)


def _weights(files: tuple[StoredFile, ...]) -> StoredFile:
    return next(file for file in files if file.name == WEIGHTS)


def _reporter(context: Context, work: Workpiece) -> Callable[[str, float], None]:
    return Reporter(context.sessions, work.assignment.run_id)
