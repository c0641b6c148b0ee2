"""Has the engine study the served version, one short turn a job, whenever nobody waits.

Each turn commits what it made and enqueues the next, which goes after every other job: so a request waits for
the rest of a turn at most, a killed worker loses no more than one, and a version that was published meanwhile
is what the next turn starts on. What a study made lies with the version's private files, and what people are
told of it with its facts.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from service.core import clock, errors, logging
from service.core.db.session import Sessions, transaction
from service.core.lineage import repository as lineage
from service.core.queue import endings, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import JobKind
from service.core.registry import repository as registry
from service.core.registry import service
from service.core.registry.models import Model
from service.core.registry.policy import Policy
from service.core.requests import interims
from service.core.storage.filesystem import FilesystemStore
from workers.engine import messages
from workers.engine.client import Pulse, ignore_progress
from workers.engine.messages import StoredFile, StudyReply
from workers.jobs.context import Context, files_of, is_masked, spec_of
from workers.jobs.prepare import named
from workers.preparation.rehearsal.record import Rehearsal

TURN_SECONDS = 10.0
PATIENCE_SECONDS = 20.0
"""So long a waiting job lets a turn come to its end; then what the turn was at is thrown away."""
LOOK_SECONDS = 0.5
STUDY = "study"
"""Name of the study among a version's facts."""
REHEARSAL = "prepared/rehearsal.json"
FILES = frozenset(
    {
        "prepared/answers.safetensors",
        "prepared/bank.safetensors",
        "prepared/class_references.json",
        REHEARSAL,
    }
)

log = logging.get(__name__)


class GiveWay(Exception):
    """Somebody waits, and the turn does not end by itself."""


class Courtesy:
    """A pulse that asks the engine to end its turn when a job waits, and ends it for it after a while.

    Args:
        pulse: Of the lease.
        sessions: Makes database sessions.
        lease: Of the study.
        path: Where a file tells the engine that somebody waits.
    """

    def __init__(self, pulse: Pulse, sessions: Sessions, lease: Lease, path: Path) -> None:
        self._pulse = pulse
        self._sessions = sessions
        self._lease = lease
        self._path = path
        self._look_at = 0.0
        self._held_up_since: float | None = None

    def check(self) -> None:
        """Return while the turn may go on.

        Raises:
            GiveWay: A job has waited long enough.
            errors.LeaseLost: The lease was lost.
        """
        self._pulse.check()
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        if not self._is_held_up():
            self._held_up_since = None
        elif self._held_up_since is None:
            self._held_up_since = now
            self._path.touch()
        elif now - self._held_up_since > PATIENCE_SECONDS:
            raise GiveWay

    def _is_held_up(self) -> bool:
        try:
            with transaction(self._sessions) as session:
                return leases.is_held_up(session, self._lease)
        except errors.Unavailable:
            return False  # whether the lease holds is for its own pulse to say


def study(context: Context, lease: Lease, pulse: Pulse) -> None:
    """Take one turn at the served version's study, and enqueue the next unless all is done.

    Raises:
        errors.LeaseLost: Another worker owns the job.
        EngineError: The data cannot be read, or the engine broke.
        errors.LetheError: The store or the database is out.
    """
    context.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = context.scratch / f"give-way-{lease.job_id.hex}"
    path.unlink(missing_ok=True)
    with transaction(context.sessions) as session:
        model = session.get_one(Model, lease.model_id)
        number = model.served_version
        policy = Policy.model_validate(model.policy)
        if number is None or policy.study_seconds == 0:
            endings.finish(session, lease)
            return
        base = files_of(session, model, number)
        if is_masked(base):  # the run that forgets behind the mask comes first
            endings.finish(session, lease)
            return
        told = registry.version_numbered(session, model.id, number).facts.get(STUDY, {})
        forgotten = interims.forgotten(session, model)
        barred = lineage.buried_elsewhere(session, model.dataset_id, model.id)
        asked = messages.Study(
            model=spec_of(session, model),
            base=base,
            forgotten_classes=forgotten.classes,
            forgotten_positions=tuple(sorted({*forgotten.positions, *barred})),
            reference_models=policy.reference_models,
            class_references=policy.class_references,
            training_seconds=model.training_seconds,
            seconds_left=policy.study_seconds - told.get("seconds", 0.0),
            turn_seconds=TURN_SECONDS,
            give_way_path=str(path),
            ladders={"class": policy.class_ladder, "samples": policy.samples_ladder},
            method_parameters=policy.method_parameters,
            limits=policy.audit_limits,
            given_up=told.get("given_up", {}),
        )
    started_at = time.monotonic()
    try:
        courtesy = Courtesy(pulse, context.sessions, lease, path)
        reply = context.engine.call(asked, messages.StudyReply, courtesy, ignore_progress)
    except GiveWay:
        log.info("study.gave_way", model=str(lease.model_id), version=number)
        lost = {**told, "seconds": told.get("seconds", 0.0) + time.monotonic() - started_at}
        _commit(context, lease, number, lost, is_done=False)
        return
    finally:
        path.unlink(missing_ok=True)
    _commit(
        context, lease, number, _facts(reply, told), is_done=reply.is_done, files=_private_files(asked, reply)
    )
    log.info("model.studied", model=str(lease.model_id), version=number, is_done=reply.is_done)


def recorded(store: FilesystemStore, space: str, files: Sequence[StoredFile]) -> Rehearsal | None:
    """Return what was rehearsed of a version, or None.

    Raises:
        errors.LetheError: The record cannot be read.
    """
    for file in files:
        if file.name == REHEARSAL:
            return Rehearsal.of_json(json.loads(store.read(space, file.sha256)))
    return None


def _commit(
    context: Context,
    lease: Lease,
    number: int,
    facts: Mapping[str, Any],
    *,
    is_done: bool,
    files: tuple[StoredFile, ...] | None = None,
) -> None:
    """End the job with what its turn made, if the version is served still, and enqueue the next turn."""
    with transaction(context.sessions) as session:
        leases.fence(session, lease)
        model = session.get_one(Model, lease.model_id, with_for_update=True)
        is_served = model.served_version == number
        if is_served:
            version = registry.version_numbered(session, model.id, number)
            if files is not None:
                service.renew_preparation(session, model, version, named(files))
            version.facts = {**version.facts, STUDY: dict(facts)}
        if not (is_served and is_done):
            queue.enqueue(session, lease.model_id, JobKind.STUDY)
        endings.finish(session, lease)


def _private_files(asked: messages.Study, reply: StudyReply) -> tuple[StoredFile, ...] | None:
    """Return all private files that the version has from now on; None if they are those it had."""
    private = [file for file in asked.base if not file.is_public]
    if {file for file in private if file.name in FILES} == {*reply.files}:
        return None
    return (*(file for file in private if file.name not in FILES), *reply.files)


def _facts(reply: StudyReply, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what people are told of a study, and what its next turn must know."""
    return {
        "references": reply.references,
        "promise": reply.promise,
        "left_out": [*reply.left_out],
        "given_up": reply.given_up,
        "seconds": told.get("seconds", 0.0) + reply.seconds,
        "is_done": reply.is_done,
        "at": clock.now().isoformat(),
    }
