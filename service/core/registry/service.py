"""Rules of the registry: register, accept weights, publish by compare-and-swap, withdraw for good."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.db.base import new_id
from service.core.ledger import repository as ledger
from service.core.lineage import repository as lineage
from service.core.lineage.models import Dataset
from service.core.queue import doorbell
from service.core.queue import repository as queue
from service.core.queue.models import JobKind
from service.core.registry import repository
from service.core.registry.models import Candidate, Model, ModelState, Version, VersionFile, VersionState
from service.core.registry.policy import Policy
from service.core.storage.base import Stored


@dataclass(frozen=True)
class Registration:
    """What an owner says of a model and of the data it learned from.

    Attributes:
        name: Unique name of the model.
        factory: `module:callable` that builds the architecture.
        arguments: Its keyword arguments.
        dataset_name: Unique name of the dataset; shared by every model that learned from it.
        dataset: How a worker opens the dataset.
        training: The recipe by which the model can be trained again.
        policy: The owner's policy.
    """

    name: str
    factory: str
    arguments: Mapping[str, Any]
    dataset_name: str
    dataset: Mapping[str, Any]
    training: Mapping[str, Any]
    policy: Policy


@dataclass(frozen=True)
class NamedFile:
    """A stored artefact under the name it has in a version."""

    name: str
    stored: Stored
    is_public: bool


def register(session: Session, registration: Registration) -> Model:
    """Add a model, and its dataset when that is new.

    Raises:
        errors.Conflict: The name is taken, or the dataset's name stands for other data.
    """
    dataset = lineage.dataset_named(session, registration.dataset_name)
    if dataset is None:
        session.execute(
            insert(Dataset)
            .values(
                id=new_id(),
                name=registration.dataset_name,
                spec=dict(registration.dataset),
                created_at=clock.now(),
            )
            .on_conflict_do_nothing()
        )
        dataset = lineage.dataset_named(session, registration.dataset_name)
        assert dataset is not None
    if dataset.spec != dict(registration.dataset):
        raise errors.Conflict(
            "A dataset of this name is registered with another description. Give this one another name.",
            code="dataset_name_taken",
        )
    model_id = session.scalar(
        insert(Model)
        .values(
            id=new_id(),
            name=registration.name,
            factory=registration.factory,
            arguments=dict(registration.arguments),
            dataset_id=dataset.id,
            training=dict(registration.training),
            policy=registration.policy.model_dump(mode="json"),
            state=ModelState.REGISTERED,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing()
        .returning(Model.id)
    )
    if model_id is None:
        raise errors.Conflict("A model of this name is registered already.", code="model_name_taken")
    ledger.append(session, "model.registered", {"model": registration.name, "factory": registration.factory})
    return session.get_one(Model, model_id)


def accept_weights(session: Session, name: str, upload: Stored) -> Model:
    """Note freshly stored weights and have a worker prepare them as version 1.

    The same upload sent twice is accepted twice and prepared once.

    Raises:
        errors.NotFound: No model has this name.
        errors.Conflict: The model already serves a version.
    """
    model = repository.model_named(session, name, lock=True)
    require_awaits_weights(model)
    if model.state == ModelState.PREPARING and model.upload_sha256 == upload.sha256:
        return model
    model.state = ModelState.PREPARING
    model.reason = None
    model.upload_sha256, model.upload_size = upload.sha256, upload.size
    ledger.append(session, "model.uploaded", {"model": name, "sha256": upload.sha256, "size": upload.size})
    queue.enqueue(session, model.id, JobKind.PREPARE)
    return model


def require_awaits_weights(model: Model) -> None:
    """Refuse an upload for a model that needs none.

    Raises:
        errors.Conflict: The model already serves a version.
    """
    if model.served_version is not None:
        raise errors.Conflict(
            "This model already has a published version. Register new weights as a new model.",
            code="model_has_versions",
        )


def refuse_upload(session: Session, model: Model, reason: str) -> None:
    """Give up on an upload that cannot be prepared: the model says why, and waits for better weights."""
    if model.served_version is not None:
        return
    model.state = ModelState.FAILED
    model.reason = reason[:500]
    ledger.append(session, "model.refused", {"model": model.name, "reason": model.reason})


def prepare_again(session: Session, model: Model) -> None:
    """Have an upload that was given up prepared once more, where no newer one or version has replaced it."""
    if model.state == ModelState.FAILED and model.upload_sha256 is not None:
        model.state, model.reason = ModelState.PREPARING, None
        queue.enqueue(session, model.id, JobKind.PREPARE)


def publish(
    session: Session,
    model: Model,
    *,
    base_number: int | None,
    files: Sequence[NamedFile],
    guarantee: str | None,
    run_id: uuid.UUID | None,
    facts: Mapping[str, Any],
) -> Version:
    """Make a new version the served one, if the base is still what is served, and withdraw the base.

    Compare-and-swap: of two publications on one base, the second fails. The base answers `Gone` from the
    commit on, and the revocation floor rises to the new version.

    Raises:
        errors.Conflict: Another version was published on this base.
    """
    number = (base_number or 0) + 1
    swapped = session.execute(
        update(Model)
        .where(Model.id == model.id, Model.served_version.is_not_distinct_from(base_number))
        .values(served_version=number, revocation_floor=number, state=ModelState.READY, reason=None)
        .returning(Model.id)
    ).one_or_none()
    if swapped is None:
        raise errors.Conflict(
            f"Version {number} was to follow version {base_number or 'none'}, which is no longer served.",
            code="base_moved",
        )
    version = Version(
        model_id=model.id,
        number=number,
        digest=manifest_digest(files),
        guarantee=guarantee,
        base_number=base_number,
        run_id=run_id,
        facts=dict(facts),
    )
    session.add(version)
    session.flush()
    session.add_all(
        VersionFile(
            version_id=version.id,
            name=file.name,
            sha256=file.stored.sha256,
            size=file.stored.size,
            is_public=file.is_public,
        )
        for file in files
    )
    ledger.append(
        session,
        "version.published",
        {"model": model.name, "version": number, "base": base_number, "digest": version.digest},
    )
    if base_number is not None:
        withdraw(session, model, base_number)
        session.execute(delete(Candidate).where(Candidate.model_id == model.id))  # made from another base
    session.execute(select(func.pg_notify(doorbell.PUBLISHED_CHANNEL, model.name)))
    session.flush()
    return version


def renew_preparation(session: Session, model: Model, version: Version, files: Sequence[NamedFile]) -> None:
    """Put other private files in the place of a version's; what serving pulls stays as it is.

    Args:
        session: The transaction.
        model: The model.
        version: The version, published still.
        files: Its private files from now on.

    Raises:
        errors.Conflict: The version is no longer served.
    """
    if model.served_version != version.number:
        raise errors.Conflict(
            f"Version {version.number} is no longer served; its preparation is of no use.", code="base_moved"
        )
    session.execute(
        delete(VersionFile).where(VersionFile.version_id == version.id, VersionFile.is_public.is_(False))
    )
    session.add_all(
        VersionFile(
            version_id=version.id,
            name=file.name,
            sha256=file.stored.sha256,
            size=file.stored.size,
            is_public=False,
        )
        for file in files
    )
    queue.enqueue(session, model.id, JobKind.PURGE)
    session.flush()


def withdraw(session: Session, model: Model, number: int) -> None:
    """Take a version out of service for good and have its files purged."""
    version = repository.version_numbered(session, model.id, number)
    version.state = VersionState.WITHDRAWN
    version.withdrawn_at = clock.now()
    ledger.append(session, "version.withdrawn", {"model": model.name, "version": number})
    queue.enqueue(session, model.id, JobKind.PURGE)


def keep_candidate(
    session: Session,
    model: Model,
    run_id: uuid.UUID,
    *,
    base_number: int,
    files: Sequence[NamedFile],
    guarantee: str,
    verdict: str,
    is_retrained: bool,
) -> Candidate:
    """Keep what a run made and its audit did not pass, until a person has decided; the purge spares it."""
    candidate = Candidate(
        run_id=run_id,
        model_id=model.id,
        base_number=base_number,
        guarantee=guarantee,
        verdict=verdict,
        is_retrained=is_retrained,
        files=[
            {
                "name": file.name,
                "sha256": file.stored.sha256,
                "size": file.stored.size,
                "is_public": file.is_public,
            }
            for file in files
        ],
    )
    session.add(candidate)
    body = {"model": model.name, "run": str(run_id), "base": base_number, "verdict": verdict}
    ledger.append(session, "candidate.kept", body)
    session.flush()
    return candidate


def drop_candidate(session: Session, run_id: uuid.UUID) -> None:
    """Give up what a run made, if it was kept, and have its files deleted."""
    candidate = repository.candidate_of(session, run_id)
    if candidate is None:
        return
    model_id = candidate.model_id
    session.delete(candidate)
    ledger.append(session, "candidate.dropped", {"run": str(run_id)})
    session.flush()
    queue.enqueue(session, model_id, JobKind.PURGE)


def record_purge(
    session: Session,
    model: Model,
    version: Version,
    purged: Sequence[tuple[str, str, int]],
    update_log: Mapping[str, Any] | None = None,
) -> None:
    """Note that a withdrawn version's files are gone, with a receipt in the ledger.

    Args:
        session: The transaction.
        model: The model.
        version: The withdrawn version.
        purged: Name, digest and bytes freed of each file.
        update_log: What is gone of the training's log; None if there is none. Counts only.
    """
    version.state = VersionState.PURGED
    version.purged_at = clock.now()
    ledger.append(
        session,
        "version.purged",
        {
            "model": model.name,
            "version": version.number,
            "num_files": len(purged),
            "bytes": sum(size for _, _, size in purged),
            "files_digest": ledger.digest_of([[name, sha256] for name, sha256, _ in purged]),
            **({} if update_log is None else {"update_log": dict(update_log)}),
        },
    )


def servable(session: Session, name: str, number: int) -> Version:
    """Return a version that may be pulled.

    Raises:
        errors.NotFound: No such model or version.
        errors.Gone: The version was withdrawn; the message names its successor.
    """
    model = repository.model_named(session, name)
    version = repository.version_numbered(session, model.id, number)
    if version.state != VersionState.PUBLISHED:
        raise errors.Gone(
            f"Version {number} was withdrawn because it knows what was forgotten since. "
            f"Pull version {model.served_version}.",
            code="version_withdrawn",
            details=[{"successor": model.served_version, "revocation_floor": model.revocation_floor}],
        )
    return version


def manifest_digest(files: Sequence[NamedFile]) -> str:
    """Return the SHA-256 of the canonical JSON list of `[name, sha256, size]` of the public files."""
    listed = sorted([file.name, file.stored.sha256, file.stored.size] for file in files if file.is_public)
    return ledger.digest_of(listed)
