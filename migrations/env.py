"""Runs migrations: one transaction each, under a lock, with bounds on every wait."""

import os

from alembic import context
from sqlalchemy import Connection, create_engine, text

from service.core.access import models as access
from service.core.counting import models as counting
from service.core.db.base import Base
from service.core.fleet import models as fleet
from service.core.ledger import models as ledger
from service.core.lineage import models as lineage
from service.core.methods import models as methods
from service.core.queue import models as queue
from service.core.registry import models as registry
from service.core.requests import models as requests

TABLES = (access, counting, fleet, ledger, lineage, methods, queue, registry, requests)
"""Imported so that their tables are known to the metadata."""

LOCK = 0x1E7E0001
LOCK_TIMEOUT = "10s"
STATEMENT_TIMEOUT = "10min"


def migrate(connection: Connection) -> None:
    """Bring the database to the revision asked for while others wait; leave the connection as it came."""
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_type=True,
    )
    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("RESET lock_timeout"))
        connection.execute(text("RESET statement_timeout"))
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
        connection.commit()


def run() -> None:
    """Migrate the connection that was passed in, or the database that the environment names."""
    passed = context.config.attributes.get("connection")
    if passed is not None:
        migrate(passed)
        return
    engine = create_engine(os.environ["LETHE_DATABASE_URL"])
    with engine.connect() as connection:
        migrate(connection)
    engine.dispose()


run()
