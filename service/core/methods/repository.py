"""The queries on the catalogue of methods."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core import clock
from service.core.methods.models import MethodEntry


def publish(session: Session, descriptions: Sequence[Mapping[str, Any]]) -> None:
    """Write the methods a worker found; the newest description of a name stays.

    Rows are written in the order of their names, so that two workers that start together never wait for each
    other in a circle.

    Args:
        session: The transaction.
        descriptions: Each with `name`, `version`, `guarantee` and whatever else describes it.
    """
    for described in sorted(descriptions, key=lambda one: str(one["name"])):
        values = {
            "version": described["version"],
            "guarantee": described["guarantee"],
            "description": {
                key: value for key, value in described.items() if key not in ("name", "version", "guarantee")
            },
            "published_at": clock.now(),
        }
        session.execute(
            insert(MethodEntry)
            .values(name=described["name"], **values)
            .on_conflict_do_update(index_elements=["name"], set_=values)
        )


def all_methods(session: Session) -> Sequence[MethodEntry]:
    """Return the catalogue by name."""
    return session.scalars(select(MethodEntry).order_by(MethodEntry.name)).all()


def get(session: Session, name: str) -> MethodEntry | None:
    """Return one method, or None."""
    return session.get(MethodEntry, name)


def named(session: Session, names: Collection[str]) -> dict[str, MethodEntry]:
    """Return those of the methods that there are, by name."""
    if not names:
        return {}
    return {row.name: row for row in session.scalars(select(MethodEntry).where(MethodEntry.name.in_(names)))}
