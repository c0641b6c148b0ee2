"""Migrations: up, down and up again, and what they build is what the models say."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text

from service.core.db.base import Base
from service.core.db.session import open_sessions
from tests.fixtures.database import MIGRATIONS, migrate
from tests.fixtures.locks import await_blocked

MIGRATION_LOCK = 0x1E7E0001
DESCRIPTION = {
    "columns": (
        "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default,"
        " identity_generation FROM information_schema.columns WHERE table_schema = 'public'"
    ),
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace"
    ),
}
"""Everything on which two ways to make a schema could disagree, partial indexes and defaults included."""


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    """An engine on a database without a single table."""
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def test_up_down_and_up_again_end_where_they_began(empty: Engine, empty_database_url: str) -> None:
    migrate(empty_database_url)
    first = described(empty)

    with empty.connect() as connection:
        command.downgrade(config_on(connection), "base")
    assert [row for row in described(empty)["columns"] if row[0] != "alembic_version"] == []

    migrate(empty_database_url)
    assert described(empty) == first
    assert len(first["columns"]) > 80


def test_migrating_twice_changes_nothing(empty: Engine, empty_database_url: str) -> None:
    migrate(empty_database_url)
    first = described(empty)

    migrate(empty_database_url)

    assert described(empty) == first


def test_models_show_no_drift(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_migrations_build_exactly_the_tables_of_the_models(engine: Engine, empty: Engine) -> None:
    with empty.begin() as connection:
        Base.metadata.create_all(connection)

    migrated, modelled = described(engine), described(empty)

    for what, rows in modelled.items():
        others = [row for row in migrated[what] if "alembic_version" not in str(row)]
        assert others == rows, what


def test_history_is_one_line_without_branches() -> None:
    scripts = ScriptDirectory.from_config(Config(MIGRATIONS))

    assert len(scripts.get_heads()) == len(scripts.get_bases()) == 1
    for script in scripts.walk_revisions():
        assert Path(script.path).name[:8].isdigit(), "a migration's file begins with its date"


def test_migrator_waits_for_another_and_then_finds_its_work_done(
    empty: Engine, empty_database_url: str
) -> None:
    with ThreadPoolExecutor(1) as pool, empty.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
        waiting = pool.submit(migrate, empty_database_url)
        await_blocked(open_sessions(empty))
        assert not waiting.done()
        other.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
        waiting.result(30)

    assert len(described(empty)["columns"]) > 80


def test_connection_is_handed_back_as_it_came(empty: Engine) -> None:
    with empty.connect() as connection:
        command.upgrade(config_on(connection), "head")

        assert connection.scalar(text("SHOW lock_timeout")) == "0"
        assert connection.scalar(text("SHOW statement_timeout")) == "0"
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        assert connection.scalar(text(held)) == 0


def test_environment_names_the_database_to_migrate(
    empty: Engine, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_DATABASE_URL", empty_database_url)

    command.upgrade(Config(MIGRATIONS), "head")

    assert len(described(empty)["columns"]) > 80


def config_on(connection: Connection) -> Config:
    """Alembic's settings for a connection that is open already."""
    config = Config(MIGRATIONS)
    config.attributes["connection"] = connection
    return config


def described(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """A schema as rows that can be compared."""
    with engine.connect() as connection:
        return {
            what: sorted((tuple(row) for row in connection.execute(text(query))), key=repr)
            for what, query in DESCRIPTION.items()
        }
