"""A transaction commits at the edge or leaves nothing, and a database that is out is said to be out."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from service.core import errors
from service.core.db.base import Base, new_id
from service.core.db.engine import conninfo, open_engine
from service.core.db.session import Sessions, open_sessions, transaction
from service.core.methods.models import MethodEntry


@pytest.fixture
def narrow(database_url: str) -> Iterator[Engine]:
    """An engine with one connection and little patience."""
    engine = open_engine(database_url, pool_size=1, pool_timeout_seconds=0.05)
    yield engine
    engine.dispose()


def test_transaction_commits_at_its_end(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        session.add(method("ssd"))

    with transaction(sessions) as session:
        assert session.get(MethodEntry, "ssd") is not None


def test_rows_stay_readable_after_the_commit(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        row = method("ssd")
        session.add(row)

    assert row.version == "1"


def test_any_error_rolls_everything_back(sessions: Sessions) -> None:
    with pytest.raises(RuntimeError), transaction(sessions) as session:
        session.add(method("ssd"))
        session.flush()
        raise RuntimeError

    with transaction(sessions) as session:
        assert session.get(MethodEntry, "ssd") is None


def test_exhausted_pool_is_unavailable(narrow: Engine) -> None:
    sessions = open_sessions(narrow)

    with transaction(sessions) as one, transaction(sessions) as two:
        one.execute(text("SELECT 1"))
        two.execute(text("SELECT 1"))
        with pytest.raises(errors.Unavailable, match="busy"), transaction(sessions) as three:
            three.execute(text("SELECT 1"))


def test_server_that_is_not_there_is_unavailable() -> None:
    engine = open_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing")

    with pytest.raises(errors.Unavailable) as refusal, transaction(open_sessions(engine)) as session:
        session.execute(text("SELECT 1"))

    assert refusal.value.is_retryable


def test_connection_that_is_cut_is_unavailable_and_the_next_one_works(
    sessions: Sessions, server_admin: Engine
) -> None:
    with pytest.raises(errors.Unavailable), transaction(sessions) as session:
        backend = session.scalar(text("SELECT pg_backend_pid()"))
        with server_admin.connect() as admin:
            admin.execute(text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})
        session.execute(text("SELECT 1"))

    with transaction(sessions) as session:
        assert session.scalar(text("SELECT 1")) == 1


def test_broken_rule_of_the_database_is_not_called_an_outage(sessions: Sessions) -> None:
    with pytest.raises(IntegrityError), transaction(sessions) as session:
        session.add_all([method("ssd"), method("ssd")])


def test_error_text_shows_no_values_of_a_row(sessions: Sessions) -> None:
    with pytest.raises(IntegrityError) as refusal, transaction(sessions) as session:
        session.execute(
            text("INSERT INTO methods (name, version, guarantee) VALUES ('ssd', :canary, '')"),
            {"canary": "canary-7"},
        )

    assert "[SQL parameters hidden" in str(refusal.value)


def test_url_of_the_engine_serves_a_bare_connection_too(database_url: str) -> None:
    with psycopg.connect(conninfo(database_url)) as connection:
        (name,) = connection.execute("SELECT current_database()").fetchone() or ("",)

    assert name in database_url


def test_ids_are_ordered_by_the_time_they_were_made() -> None:
    ids = [new_id() for _ in range(1000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {one.version for one in ids} == {7}


def test_every_constraint_has_a_name_that_migrations_can_rely_on() -> None:
    unnamed = [
        (table.name, constraint)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if constraint.name is None
    ]

    assert len(Base.metadata.tables) >= 15
    assert unnamed == []


def method(name: str) -> MethodEntry:
    """A row of the smallest table."""
    return MethodEntry(name=name, version="1", guarantee="exact", description={})
