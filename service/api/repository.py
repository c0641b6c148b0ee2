"""The queries that only the API asks: what a page of a list refers to."""

import uuid
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.core.lineage.models import Dataset
from service.core.registry.models import Candidate, Model
from service.core.requests.models import Run


def models_by_id(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Model]:
    """Return the models with these ids."""
    return {row.id: row for row in session.scalars(select(Model).where(Model.id.in_(ids)))}


def datasets_by_id(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Dataset]:
    """Return the datasets with these ids."""
    return {row.id: row for row in session.scalars(select(Dataset).where(Dataset.id.in_(ids)))}


def runs_by_id(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Run]:
    """Return the runs with these ids."""
    return {row.id: row for row in session.scalars(select(Run).where(Run.id.in_(ids)))} if ids else {}


def candidates_by_run(session: Session, run_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Candidate]:
    """Return what runs have made and a person may still accept, by run."""
    if not run_ids:
        return {}
    query = select(Candidate).where(Candidate.run_id.in_(run_ids))
    return {row.run_id: row for row in session.scalars(query)}
