"""The queries on models and versions."""

import uuid
from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from service.core import errors
from service.core.lineage.models import Dataset
from service.core.registry.models import Candidate, Model, Version, VersionFile, VersionState

MODELS_NAMED = (
    select(Model, Dataset)
    .join(Dataset, Dataset.id == Model.dataset_id)
    .where(Model.name.in_(bindparam("names", expanding=True)))
)
"""Made once: every group of requests that is taken in asks it."""


def model_named(session: Session, name: str, *, lock: bool = False) -> Model:
    """Return a model by name.

    Raises:
        errors.NotFound: No model has this name.
    """
    query = select(Model).where(Model.name == name)
    model = session.scalar(query.with_for_update() if lock else query)
    if model is None:
        raise unknown_model()
    return model


def models_named(session: Session, names: Collection[str]) -> dict[str, tuple[Model, Dataset]]:
    """Return those of the models that there are, by name, each with what it learned from."""
    rows = session.execute(MODELS_NAMED, {"names": [*names]})
    return {model.name: (model, dataset) for model, dataset in rows}


def unknown_model() -> errors.NotFound:
    """Return what is answered where a model is named that there is not."""
    return errors.NotFound("No model has this name. List the models to see those that exist.")


def models_after(session: Session, after: uuid.UUID | None, limit: int) -> Sequence[Model]:
    """Return models in the order they were registered, beginning after one."""
    query = select(Model).order_by(Model.id).limit(limit)
    return session.scalars(query.where(Model.id > after) if after else query).all()


def versions_of(session: Session, model_id: uuid.UUID) -> Sequence[Version]:
    """Return a model's versions, newest first."""
    return session.scalars(
        select(Version).where(Version.model_id == model_id).order_by(Version.number.desc())
    ).all()


def version_numbered(session: Session, model_id: uuid.UUID, number: int) -> Version:
    """Return one version, whatever its state.

    Raises:
        errors.NotFound: The model never had this version.
    """
    version = session.scalar(select(Version).where(Version.model_id == model_id, Version.number == number))
    if version is None:
        raise errors.NotFound("This model never had this version. List its versions to see those it had.")
    return version


def served_versions(session: Session, model_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Version]:
    """Return the served version of each of these models that has one, by the model's id."""
    found = session.scalars(
        select(Version)
        .join(Model, (Model.id == Version.model_id) & (Model.served_version == Version.number))
        .where(Model.id.in_(model_ids))
    )
    return {version.model_id: version for version in found}


def files_of(session: Session, version_id: uuid.UUID, *, public: bool | None = None) -> Sequence[VersionFile]:
    """Return a version's files by name: all, only the public, or only the private ones."""
    query = select(VersionFile).where(VersionFile.version_id == version_id).order_by(VersionFile.name)
    if public is not None:
        query = query.where(VersionFile.is_public == public)
    return session.scalars(query).all()


def live_digests(session: Session, model_id: uuid.UUID) -> set[str]:
    """Return the digest of every file that a published version, or a candidate kept for a person, needs."""
    served = session.scalars(
        select(VersionFile.sha256)
        .join(Version, Version.id == VersionFile.version_id)
        .where(Version.model_id == model_id, Version.state == VersionState.PUBLISHED)
    )
    kept = session.scalars(select(Candidate.files).where(Candidate.model_id == model_id))
    return {*served, *(file["sha256"] for files in kept for file in files)}


def candidate_of(session: Session, run_id: uuid.UUID) -> Candidate | None:
    """Return what a run made and a person may still accept, or None."""
    return session.get(Candidate, run_id)


def withdrawn_versions(session: Session, model_id: uuid.UUID) -> Sequence[Version]:
    """Return the versions whose files wait for the purge."""
    return session.scalars(
        select(Version)
        .where(Version.model_id == model_id, Version.state == VersionState.WITHDRAWN)
        .order_by(Version.number)
    ).all()
