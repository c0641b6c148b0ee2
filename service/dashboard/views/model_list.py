"""What the list of models shows."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from service.core.registry import repository as registry
from service.core.registry.models import Model, ModelState
from service.dashboard import repository, words
from service.dashboard.words import Label, Tone

MOST_SHOWN = 500

STATE = {
    ModelState.REGISTERED: Label("Awaits its weights", Tone.WAITING),
    ModelState.PREPARING: Label("Preparing", Tone.MOVING),
    ModelState.READY: Label("Ready to forget", Tone.DONE),
    ModelState.FAILED: Label("Preparation failed", Tone.BROKEN),
}


@dataclass(frozen=True)
class ModelRow:
    """One model in the list."""

    name: str
    state: Label
    architecture: str
    served_version: int | None
    num_queued: int
    created_at: datetime


@dataclass(frozen=True)
class ModelList:
    """The list of models."""

    rows: tuple[ModelRow, ...]
    title: str = "Models"


def look(session: Session, _: datetime) -> ModelList:
    """Read the models."""
    num_queued = repository.queued_by_model(session)
    models = registry.models_after(session, None, MOST_SHOWN)
    return ModelList(tuple(_row(model, num_queued.get(model.id, 0)) for model in models))


def _row(model: Model, num_queued: int) -> ModelRow:
    return ModelRow(
        name=model.name,
        state=STATE[ModelState(model.state)],
        architecture=words.readable(model.factory.rpartition(":")[2]),
        served_version=model.served_version,
        num_queued=num_queued,
        created_at=model.created_at,
    )
