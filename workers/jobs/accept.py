"""Publishes what a person accepted although its audit did not pass it; nothing is computed anew."""

from service.core import logging
from service.core.db.session import transaction
from service.core.queue.leases import Lease
from service.core.registry.models import Model
from service.core.requests import acceptance, publishing, repository
from service.core.requests.publishing import Publication
from workers.engine import messages
from workers.engine.client import Pulse
from workers.engine.messages import StoredFile
from workers.jobs import plan, reports, serving
from workers.jobs.context import WEIGHTS, Context, files_of, spec_of, unmasked
from workers.jobs.prepare import named
from workers.jobs.progress import Reporter

log = logging.get(__name__)


def accept(context: Context, lease: Lease, pulse: Pulse) -> None:
    """Make the accepted candidate a version, and complete the requests of its run.

    Raises:
        errors.LeaseLost: Another worker owns the job.
        EngineError: The data cannot be read, or the engine broke.
        errors.LetheError: The store or the database is out, or the base version is no longer served.
    """
    with transaction(context.sessions) as session:
        accepted = acceptance.take_accepted(session, lease)
        if accepted is None:
            return
        model = session.get_one(Model, lease.model_id)
        spec = spec_of(session, model)
        base = unmasked(files_of(session, model, accepted.assignment.base_version))
        run = repository.run_by_id(session, accepted.assignment.run_id)
        calls = repository.calls_of(session, run)
    serving.announce(calls, run.id)
    assignment, candidate = accepted.assignment, accepted.candidate
    files = tuple(StoredFile.model_validate(file) for file in candidate.files)
    asked = messages.Carry(
        model=spec,
        base=base,
        weights=next(file for file in files if file.name == WEIGHTS),
        left=tuple(file for file in files if file.name != WEIGHTS),
        groups=plan.groups_of(assignment),
        is_retrained=candidate.is_retrained,
        forgotten_classes=assignment.forgotten_classes,
        forgotten_positions=assignment.forgotten_positions,
        guarantee=candidate.guarantee,
    )
    carried = context.engine.call(
        asked, messages.CarryReply, pulse, Reporter(context.sessions, assignment.run_id)
    )
    facts = {**carried.facts, "verdict": candidate.verdict}
    report = reports.keep(
        context, assignment.run_id, candidate.guarantee, state="accepted", decisive=accepted.rung
    )
    publication = Publication((*named(carried.files), *report), candidate.guarantee, facts, accepted.rung)
    with transaction(context.sessions) as session:
        version = publishing.publish_accepted(session, lease, accepted, publication, context.signatory)
    log.info("run.accepted", run=str(assignment.run_id), version=version.number)
