"""The queries on lineage: ingest a manifest, find samples by pseudonym, bury what was forgotten."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import psycopg
from sqlalchemy import (
    ARRAY,
    Integer,
    LargeBinary,
    Select,
    TableValuedAlias,
    Uuid,
    bindparam,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from service.core import clock
from service.core.db.base import Base
from service.core.lineage.models import Dataset, ForgottenClass, Sample, Split, Tombstone

SampleRow = tuple[int, bytes, bytes | None, int, int]
"""position, pseudonym, subject pseudonym, label, split."""


def _table_of_pairs(name: str, kind: TypeEngine[Any]) -> TableValuedAlias:
    """Return a table of `owner`, the other column by its name, and `place`, from 1."""
    owners = bindparam("owners", type_=ARRAY(Uuid()))
    others = bindparam("others", type_=ARRAY(kind))
    table = func.unnest(owners, others).table_valued("owner", name, with_ordinality="place")
    return table.render_derived()


# Intake asks these for each group of requests, so they are made once, and of the tables: to make them anew,
# and to take them for objects, would cost more than to ask them.
_SAMPLES, _TOMBSTONES, _CLASSES = (
    Base.metadata.tables[each.__tablename__].c for each in (Sample, Tombstone, ForgottenClass)
)
_NAMED = _table_of_pairs("pseudonym", LargeBinary())
POSITIONS_OF = select(_NAMED.c.place, _SAMPLES.position).join_from(
    _NAMED,
    _SAMPLES.position.table,
    (_SAMPLES.dataset_id == _NAMED.c.owner) & (_SAMPLES.pseudonym == _NAMED.c.pseudonym),
)
_PEOPLE = _table_of_pairs("subject", LargeBinary())
POSITIONS_OF_SUBJECTS = (
    select(_PEOPLE.c.place, _SAMPLES.position)
    .join_from(
        _PEOPLE,
        _SAMPLES.position.table,
        (_SAMPLES.dataset_id == _PEOPLE.c.owner) & (_SAMPLES.subject == _PEOPLE.c.subject),
    )
    .order_by(_SAMPLES.position)
)
_PLACES = _table_of_pairs("position", Integer())
RUNS_THAT_FORGOT = select(_TOMBSTONES.model_id, _TOMBSTONES.position, _TOMBSTONES.run_id).join_from(
    _TOMBSTONES.run_id.table,
    _PLACES,
    (_PLACES.c.owner == _TOMBSTONES.model_id) & (_PLACES.c.position == _TOMBSTONES.position),
)
FORGOTTEN_CLASSES = select(_CLASSES.model_id, _CLASSES.label, _CLASSES.run_id).where(
    _CLASSES.model_id.in_(bindparam("model_ids", expanding=True))
)


def dataset_named(session: Session, name: str) -> Dataset | None:
    """Return the dataset of this name, locked against a second registration, or None."""
    return session.scalar(select(Dataset).where(Dataset.name == name).with_for_update())


def ingest(session: Session, dataset_id: uuid.UUID, manifest_digest: str, rows: Iterable[SampleRow]) -> int:
    """Write a manifest's rows by COPY and return how many there are.

    A dataset that was ingested from the same manifest before is left as it is.

    Raises:
        ValueError: The dataset was ingested from another manifest; positions would no longer mean the same.
    """
    dataset = session.get_one(Dataset, dataset_id, with_for_update=True)
    if dataset.manifest_digest == manifest_digest and dataset.num_samples is not None:
        return dataset.num_samples
    if dataset.manifest_digest is not None:
        raise ValueError(
            "The dataset's manifest differs from the one registered first. Register it under a new name."
        )
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    num_rows = 0
    with (
        driver.cursor() as cursor,
        cursor.copy(
            "COPY samples (dataset_id, position, pseudonym, subject, label, split) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["uuid", "int4", "bytea", "bytea", "int4", "int2"])
        for row in rows:
            copy.write_row((dataset_id, *row))
            num_rows += 1
    dataset.manifest_digest = manifest_digest
    dataset.num_samples = num_rows
    counts = _count_classes(session, dataset_id)
    dataset.class_counts = {str(label): count for label, count in counts.items()}
    dataset.ingested_at = clock.now()
    session.flush()
    return num_rows


def positions_of(session: Session, asked: Sequence[tuple[uuid.UUID, bytes]]) -> list[int | None]:
    """Return the position of each (dataset, pseudonym) in its manifest, in order; None if unknown."""
    if not asked:
        return []
    rows = session.execute(POSITIONS_OF, _pairs(asked))
    found = {place: position for place, position in rows}
    return [found.get(place) for place in range(1, len(asked) + 1)]


def pseudonym_at(session: Session, dataset_id: uuid.UUID, position: int) -> bytes | None:
    """Return the pseudonym of the sample at a position, or None before the manifest is ingested."""
    return session.scalar(
        select(Sample.pseudonym).where(Sample.dataset_id == dataset_id, Sample.position == position)
    )


def positions_of_subjects(session: Session, asked: Sequence[tuple[uuid.UUID, bytes]]) -> list[list[int]]:
    """Return, for each (dataset, subject), the positions of everything that comes from it, ascending."""
    if not asked:
        return []
    rows = session.execute(POSITIONS_OF_SUBJECTS, _pairs(asked))
    found: list[list[int]] = [[] for _ in asked]
    for place, position in rows:
        found[place - 1].append(position)
    return found


def class_counts(session: Session, dataset_id: uuid.UUID) -> dict[int, int]:
    """Return how many training samples each class has; a dataset whose row does not tell is counted."""
    dataset = session.get_one(Dataset, dataset_id)
    if dataset.class_counts is None:
        return _count_classes(session, dataset_id)
    return {int(label): count for label, count in dataset.class_counts.items()}


def training_positions(session: Session, dataset_id: uuid.UUID, labels: Collection[int]) -> list[int]:
    """Return the positions of the training samples of some classes, ascending."""
    if not labels:
        return []
    return list(
        session.scalars(
            select(Sample.position)
            .where(Sample.dataset_id == dataset_id, Sample.split == Split.TRAIN, Sample.label.in_(labels))
            .order_by(Sample.position)
        )
    )


def forgotten_positions(session: Session, model_id: uuid.UUID) -> list[int]:
    """Return every position that a model has forgotten, ascending."""
    return list(
        session.scalars(
            select(Tombstone.position).where(Tombstone.model_id == model_id).order_by(Tombstone.position)
        )
    )


def forgotten_classes(session: Session, model_id: uuid.UUID) -> dict[int, uuid.UUID]:
    """Return every class that a model has forgotten, with the run that did it."""
    rows = session.execute(
        select(ForgottenClass.label, ForgottenClass.run_id)
        .where(ForgottenClass.model_id == model_id)
        .order_by(ForgottenClass.label)
    )
    return {label: run_id for label, run_id in rows}


def forgotten_classes_each(
    session: Session, model_ids: Collection[uuid.UUID]
) -> dict[tuple[uuid.UUID, int], uuid.UUID]:
    """Return every (model, class) that is forgotten, with the run that did it."""
    if not model_ids:
        return {}
    rows = session.execute(FORGOTTEN_CLASSES, {"model_ids": [*model_ids]})
    return {(model_id, label): run_id for model_id, label, run_id in rows}


def runs_that_forgot(session: Session, model_id: uuid.UUID, positions: Sequence[int]) -> dict[int, uuid.UUID]:
    """Return, for those of the positions that a model has forgotten, the run that did it."""
    found = runs_that_forgot_each(session, [(model_id, position) for position in positions])
    return {position: run_id for (_, position), run_id in found.items()}


def runs_that_forgot_each(
    session: Session, asked: Sequence[tuple[uuid.UUID, int]]
) -> dict[tuple[uuid.UUID, int], uuid.UUID]:
    """Return, for each (model, position) that is forgotten, the run that did it."""
    if not asked:
        return {}
    rows = session.execute(RUNS_THAT_FORGOT, _pairs(asked))
    return {(model_id, position): run_id for model_id, position, run_id in rows}


def bury_positions(
    session: Session, model_id: uuid.UUID, dataset_id: uuid.UUID, run_id: uuid.UUID, positions: Sequence[int]
) -> None:
    """Set a tombstone on each position; those that have one keep it."""
    asked = _table_of(positions)
    _bury(
        session,
        model_id,
        run_id,
        select(Sample.position, Sample.pseudonym)
        .join(asked, asked.c.position == Sample.position)
        .where(Sample.dataset_id == dataset_id),
    )


def bury_classes(
    session: Session, model_id: uuid.UUID, dataset_id: uuid.UUID, run_id: uuid.UUID, labels: Sequence[int]
) -> None:
    """Record classes as forgotten and set a tombstone on each of their training samples."""
    for label in labels:
        session.execute(
            upsert(ForgottenClass)
            .values(model_id=model_id, label=label, run_id=run_id, forgotten_at=clock.now())
            .on_conflict_do_nothing()
        )
    _bury(
        session,
        model_id,
        run_id,
        select(Sample.position, Sample.pseudonym).where(
            Sample.dataset_id == dataset_id, Sample.split == Split.TRAIN, Sample.label.in_(labels)
        ),
    )


def buried_elsewhere(session: Session, dataset_id: uuid.UUID, model_id: uuid.UUID) -> list[int]:
    """Return the positions whose sample some other model was asked to forget.

    The re-admission guard: a model registered later must not be prepared or retrained on them. A class that
    another model gave up is that model's affair; only samples named by a request count.
    """
    by_class = select(literal(1)).where(
        ForgottenClass.model_id == Tombstone.model_id,
        ForgottenClass.run_id == Tombstone.run_id,
        ForgottenClass.label == Sample.label,
    )
    return list(
        session.scalars(
            select(Sample.position)
            .join(Tombstone, Tombstone.pseudonym == Sample.pseudonym)
            .where(
                Sample.dataset_id == dataset_id,
                Tombstone.model_id != model_id,
                ~by_class.exists(),
            )
            .distinct()
            .order_by(Sample.position)
        )
    )


def _count_classes(session: Session, dataset_id: uuid.UUID) -> dict[int, int]:
    rows = session.execute(
        select(Sample.label, func.count())
        .where(Sample.dataset_id == dataset_id, Sample.split == Split.TRAIN)
        .group_by(Sample.label)
        .order_by(Sample.label)
    )
    return {label: count for label, count in rows}


def _pairs(pairs: Sequence[tuple[uuid.UUID, object]]) -> dict[str, object]:
    """Return pairs as `_table_of_pairs` takes them."""
    return {"owners": [owner for owner, _ in pairs], "others": [other for _, other in pairs]}


def _table_of(positions: Sequence[int]) -> TableValuedAlias:
    asked = func.unnest(bindparam("positions", list(positions), ARRAY(Integer)))
    return asked.table_valued("position").render_derived()


def _bury(session: Session, model_id: uuid.UUID, run_id: uuid.UUID, chosen: Select[int, bytes]) -> None:
    columns = chosen.subquery()
    session.execute(
        upsert(Tombstone)
        .from_select(
            ["model_id", "position", "pseudonym", "run_id", "forgotten_at"],
            select(literal(model_id), columns.c.position, columns.c.pseudonym, literal(run_id), func.now()),
        )
        .on_conflict_do_nothing()
    )
