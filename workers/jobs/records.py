"""A model's update log: whether it may be used for what is served, and what of it must be erased.

A log lies in `records/DIGEST`, where DIGEST is that of the weights its training ended at: those of version 1.
It fits a later version only if every version since was made by methods that subtract from it. Any other
method, and exact retraining, leave weights of which the log tells nothing: then it only holds people, and is
erased as a whole. Where it fits, the keys of everybody who is forgotten go.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from service.core import errors
from service.core.methods import repository as methods
from service.core.registry import repository as registry
from service.core.registry.models import Model, Version
from service.core.requests import interims
from service.core.requests import repository as requests
from workers.engine.messages import UpdateLogRef
from workers.jobs import plan
from workers.jobs.context import is_masked
from workers.preparation.errors import RecordError
from workers.preparation.update_log import record_erasure
from workers.preparation.update_log.record_keys import KEYS

WEIGHTS = "model.safetensors"


def usable(session: Session, folder: Path, model: Model) -> UpdateLogRef | None:
    """Return the log of the served version; None if there is none, or it does not fit.

    Args:
        session: The transaction.
        folder: Of all logs.
        model: The model.
    """
    weights = _first_weights(session, model)
    if weights is None or not (folder / weights / KEYS).is_file() or not _fits(session, model):
        return None
    return UpdateLogRef(weights=weights, subtracted=interims.forgotten(session, model).positions)


def erase(session: Session, folder: Path, model: Model) -> Mapping[str, Any] | None:
    """Erase of a model's log what may not be there any longer, and return what the receipt says of it.

    Safe to run twice: the receipt tells what is gone, not what went this time.

    Returns:
        Counts; None if the model never had a log here.

    Raises:
        errors.Unavailable: The log cannot be written, or its keys cannot be read.
    """
    weights = _first_weights(session, model)
    if weights is None or not (folder / weights).is_dir():
        return None
    log = folder / weights
    try:
        if not (log / KEYS).is_file() or not _fits(session, model):
            record_erasure.void(log)
            return {"is_void": True}
        forgotten = interims.forgotten(session, model).positions
        return {"is_void": False, "keys_destroyed": record_erasure.destroy_keys(log, forgotten)}
    except (OSError, RecordError) as error:
        raise errors.Unavailable(
            "The training's update log could not be erased. Make its folder writable, or remove it whole.",
            code="storage_unavailable",
        ) from error


def _first_weights(session: Session, model: Model) -> str | None:
    """Return the digest of the weights that were uploaded, or None before there is a version."""
    try:
        first = registry.version_numbered(session, model.id, 1)
    except errors.NotFound:
        return None
    files = registry.files_of(session, first.id, public=True)
    return next((file.sha256 for file in files if file.name == WEIGHTS), None)


def _fits(session: Session, model: Model) -> bool:
    """Whether every version since the first was made by subtraction alone.

    One that is masked by the way does not count: what follows it starts from the weights without the mask.
    """
    subtracting = {
        entry.name for entry in methods.all_methods(session) if plan.UPDATE_LOG in entry.description["needs"]
    }
    return all(
        {*_methods_of(session, version)} <= subtracting
        for version in registry.versions_of(session, model.id)
        if version.number > 1 and not is_masked(registry.files_of(session, version.id))
    )


def _methods_of(session: Session, version: Version) -> list[str]:
    """Return the methods that made a version; a nameless one if that is not known."""
    if version.run_id is None:
        return [""]
    return [step["method"] for step in requests.run_by_id(session, version.run_id).deciding_rung["steps"]]
