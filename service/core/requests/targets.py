"""Targets: what callers want forgotten, resolved to labels and manifest positions, many at a time.

A *target* names classes, samples or a person in the owner's terms. *Resolved*, it holds labels, or positions
found under keyed pseudonyms; raw ids go no further than this file. However many targets come together, each
kind costs one query for all of them. A target that cannot be resolved has an error in its place, and the
others are none the worse for it.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from service.core import errors
from service.core.ledger.errors import PseudonymError
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.lineage import repository as lineage
from service.core.lineage.models import Dataset
from service.core.registry.models import Model
from service.core.requests import repository
from service.core.requests.models import TargetKind

MAX_DETAILS = 100
"""How many of a target's faults are told."""

MAX_CLASSES = 4000
"""So many labels fit, whatever they are, into the ledger entry that tells of the request."""


@dataclass(frozen=True)
class Target:
    """What a caller wants forgotten; exactly one of the three is given.

    Attributes:
        kind: Which of the three.
        classes: Labels.
        sample_ids: The owner's sample ids; they are turned into positions and dropped.
        subject_id: The owner's subject id; likewise.
    """

    kind: TargetKind
    classes: Sequence[int] = ()
    sample_ids: Sequence[str] = ()
    subject_id: str | None = None


@dataclass(frozen=True)
class Resolved:
    """A target in the terms of the manifest.

    Attributes:
        classes: Labels, ascending.
        positions: Manifest positions, ascending; None for a target of classes.
        num_samples: How many samples it is; of a class, those that were trained on.
        forgotten_by: The last run that forgot part of it, if the model has forgotten all of it.
    """

    classes: list[int]
    positions: list[int] | None
    num_samples: int
    forgotten_by: uuid.UUID | None = None


Asked = tuple[Model, Dataset, Target]
Outcome = Resolved | errors.LetheError
Runs = Mapping[tuple[uuid.UUID, int], uuid.UUID]
"""Who forgot: by model, and class or position."""


def resolve(session: Session, asked: Sequence[Asked], pseudonymiser: Pseudonymiser) -> list[Outcome]:
    """Resolve targets in their order; one that names something unknown, nothing or everything is refused."""
    ways = {TargetKind.CLASS: _classes, TargetKind.SAMPLES: _samples, TargetKind.SUBJECT: _subjects}
    outcomes: dict[int, Outcome] = {}
    for kind, way in ways.items():
        own = {place: each for place, each in enumerate(asked) if each[2].kind == kind}
        if own:
            outcomes |= zip(own, way(session, [*own.values()], pseudonymiser), strict=True)
    return _with_runs(session, asked, [outcomes[place] for place in range(len(asked))])


def _with_runs(session: Session, asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Add to resolved positions the run that forgot them.

    Nearly every target is new: whether its first sample is forgotten tells so by one row.
    """
    parts = {
        place: [(model.id, each) for each in found.positions]
        for place, ((model, _, _), found) in enumerate(zip(asked, outcomes, strict=True))
        if isinstance(found, Resolved) and found.positions
    }
    first = lineage.runs_that_forgot_each(session, [of[0] for of in parts.values()])
    known = {place: of for place, of in parts.items() if of[0] in first}
    if not known:
        return [*outcomes]
    runs = lineage.runs_that_forgot_each(session, [part for of in known.values() for part in of])
    return [
        replace(found, forgotten_by=_last(known[place], runs))
        if place in known and isinstance(found, Resolved)
        else found
        for place, found in enumerate(outcomes)
    ]


def _last(parts: Sequence[tuple[uuid.UUID, int]], runs: Runs) -> uuid.UUID | None:
    done = [runs[part] for part in parts if part in runs]
    return max(done) if done and len(done) == len(parts) else None


def _classes(session: Session, asked: Sequence[Asked], _: Pseudonymiser) -> list[Outcome]:
    model_ids = {model.id for model, _, _ in asked}
    runs = lineage.forgotten_classes_each(session, model_ids)
    gone: dict[uuid.UUID, set[int]] = {model_id: set() for model_id in model_ids}
    for model_id, label in repository.settled_classes(session, model_ids).union(runs):
        gone[model_id].add(label)
    return [_labels(session, model, target.classes, gone[model.id], runs) for model, _, target in asked]


def _labels(
    session: Session, model: Model, classes: Sequence[int], forgotten: set[int], runs: Runs
) -> Outcome:
    num_classes = model.num_classes or 0
    unknown = [index for index, label in enumerate(classes) if not 0 <= label < num_classes]
    if unknown:
        return _unknown("classes", unknown, "this model has no such class", "unknown_class")
    chosen = sorted(set(classes))
    if not chosen:
        return _empty()
    if len(chosen) > MAX_CLASSES:
        return errors.Invalid(
            f"The target names {len(chosen)} classes; one request takes at most {MAX_CLASSES}. Send several.",
            code="too_many_classes",
        )
    if not forgotten.issuperset(chosen) and len(forgotten.union(chosen)) == num_classes:
        return errors.Invalid(
            "The target names every class that the model still knows, which would leave it with none. "
            "Retire the model instead.",
            code="every_class",
        )
    counts = lineage.class_counts(session, model.dataset_id)
    num_samples = sum(counts.get(label, 0) for label in chosen)
    return Resolved(chosen, None, num_samples, _last([(model.id, label) for label in chosen], runs))


def _samples(session: Session, asked: Sequence[Asked], pseudonymiser: Pseudonymiser) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    wanted: list[tuple[uuid.UUID, bytes]] = []
    for place, (_, dataset, target) in enumerate(asked):
        try:
            names = pseudonymiser.samples(dataset.name, target.sample_ids)
        except PseudonymError as error:
            outcomes[place] = _not_unicode(f"/target/sample_ids/{error.position}")
        else:
            wanted += [(dataset.id, bytes.fromhex(name)) for name in names]
    found = iter(lineage.positions_of(session, wanted))
    for place, (_, _, target) in enumerate(asked):
        if place not in outcomes:
            outcomes[place] = _positions([next(found) for _ in target.sample_ids])
    return [outcomes[place] for place in range(len(asked))]


def _positions(found: Sequence[int | None]) -> Outcome:
    unknown = [index for index, position in enumerate(found) if position is None]
    if unknown:
        return _unknown("sample_ids", unknown, "this dataset has no such sample", "unknown_sample")
    chosen = sorted({position for position in found if position is not None})
    return Resolved([], chosen, len(chosen)) if chosen else _empty()


def _subjects(session: Session, asked: Sequence[Asked], pseudonymiser: Pseudonymiser) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    wanted: dict[int, tuple[uuid.UUID, bytes]] = {}
    for place, (_, dataset, target) in enumerate(asked):
        assert target.subject_id is not None
        try:
            name = pseudonymiser.subject(dataset.name, target.subject_id)
        except PseudonymError:
            outcomes[place] = _not_unicode("/target/subject_id")
        else:
            wanted[place] = (dataset.id, bytes.fromhex(name))
    found = lineage.positions_of_subjects(session, [*wanted.values()])
    for place, positions in zip(wanted, found, strict=True):
        outcomes[place] = Resolved([], positions, len(positions))
    return [outcomes[place] for place in range(len(asked))]


def _unknown(field: str, indices: Sequence[int], reason: str, code: str) -> errors.Invalid:
    return errors.Invalid(
        f"{len(indices)} of the target's {field} cannot be resolved: {reason}.",
        code=code,
        details=[
            {"pointer": f"/target/{field}/{index}", "reason": reason} for index in indices[:MAX_DETAILS]
        ],
    )


def _not_unicode(pointer: str) -> errors.Invalid:
    reason = "this identifier is not valid Unicode"
    return errors.Invalid(
        f"The target cannot be read: {reason}. Send the identifier as it stands in the manifest.",
        code="malformed_identifier",
        details=[{"pointer": pointer, "reason": reason}],
    )


def _empty() -> errors.Invalid:
    return errors.Invalid(
        "The target is empty. Name at least one class, sample or subject.", code="empty_target"
    )
