"""What a run is to forget: the union of its requests' targets, less what is forgotten already."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.core.lineage import repository as lineage
from service.core.registry.models import Model
from service.core.requests import interims
from service.core.requests.models import AUTO, ForgetRequest, Run


@dataclass(frozen=True)
class Assignment:
    """What a run is to forget, and what it must not read again.

    Attributes:
        run_id: The run.
        base_version: Version to start from.
        seed: Seed of everything random in the run.
        classes: Labels to forget, ascending.
        positions: Manifest positions to forget, ascending.
        forgotten_classes: Labels forgotten by earlier runs, or by interim versions.
        forgotten_positions: Positions forgotten by earlier runs or by interim versions, or barred by the
            re-admission guard. One that is barred and asked for stands in `positions`: this model must forget
            it too.
        class_method: Method asked for by class requests, or `auto`.
        samples_method: Method asked for by sample and subject requests, or `auto`.
        is_exact_only: Whether only exact retraining will do.
        is_masked_first: Whether an interim version with masked outputs comes before anything else.
        is_masked: Whether the base version masks outputs of classes in `classes`, and has the weights
            without the mask beside it.
    """

    run_id: uuid.UUID
    base_version: int
    seed: int
    classes: tuple[int, ...]
    positions: tuple[int, ...]
    forgotten_classes: tuple[int, ...]
    forgotten_positions: tuple[int, ...]
    class_method: str
    samples_method: str
    is_exact_only: bool = False
    is_masked_first: bool = False
    is_masked: bool = False


def assign(session: Session, model: Model, run: Run, served: Sequence[ForgetRequest]) -> Assignment:
    """Return what a run that serves these requests has to forget."""
    forgotten = interims.forgotten(session, model, besides={one.id for one in served})
    asked = {place for one in served for place in one.positions or ()} - {*forgotten.positions}
    barred = set(lineage.buried_elsewhere(session, model.dataset_id, model.id)) - asked
    labels = {label for one in served for label in one.classes} - {*forgotten.classes}
    return Assignment(
        run_id=run.id,
        base_version=run.base_version,
        seed=run.seed,
        classes=tuple(sorted(labels)),
        positions=tuple(sorted(asked)),
        forgotten_classes=forgotten.classes,
        forgotten_positions=tuple(sorted(barred.union(forgotten.positions))),
        class_method=AUTO,
        samples_method=AUTO,
        is_masked=any(interims.is_suppressed(one) for one in served),
    )
