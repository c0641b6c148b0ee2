"""What must be in order before this process may be sent requests."""

from collections.abc import Callable
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from service.api.kernel import Kernel
from service.core import errors

MIGRATIONS = Path(__file__).parents[2] / "migrations"
PROBE_SPACE = "readiness"
PROBE = b"Lethe can write here."


def check(kernel: Kernel) -> dict[str, str | None]:
    """Return, for each thing that must be in order, None or what is wrong with it."""
    checks: dict[str, Callable[[Kernel], None]] = {
        "database": _database_is_migrated,
        "store": _store_is_writable,
    }
    return {name: _fault(look, kernel) for name, look in checks.items()}


def _fault(look: Callable[[Kernel], None], kernel: Kernel) -> str | None:
    try:
        look(kernel)
    except errors.LetheError as error:
        return error.message
    return None


def _database_is_migrated(kernel: Kernel) -> None:
    with kernel.transaction() as session:
        current = set(MigrationContext.configure(session.connection()).get_current_heads())
    if current != set(ScriptDirectory(str(MIGRATIONS)).get_heads()):
        raise errors.Unavailable("The database is not at the newest migration. Run `alembic upgrade head`.")


def _store_is_writable(kernel: Kernel) -> None:
    stored = kernel.store.put(PROBE_SPACE, [PROBE])
    kernel.store.delete(PROBE_SPACE, stored.sha256)
