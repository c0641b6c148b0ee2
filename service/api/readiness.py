"""What must be in order before this process is sent requests, and who must be there to serve them.

Without the database or the store nothing can be accepted: not ready. Without a relay or a worker requests are
accepted and wait: *degraded*, and ready all the same, for an orchestrator that took the API away then would
turn a delay into a loss.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.orm import Session

from service.api.freshness import Fresh
from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.fleet import repository as fleet
from service.core.fleet.models import Role
from service.core.storage.base import ArtefactStore

MIGRATIONS = Path(__file__).parents[2] / "migrations"
PROBE_SPACE = "readiness"
PROBE = b"Lethe can write here."
FRESH_SECONDS = 1.0
"""Probes within a second share one look."""

MISSING = {
    Role.RELAY: "No relay was seen lately: bells are not rung, leases not reaped, the ledger not sequenced.",
    Role.WORKER: "No worker was seen lately: requests are accepted and wait.",
}


@dataclass(frozen=True)
class Report:
    """How things are.

    Attributes:
        checks: What this process needs, each None or what is wrong with it.
        fleet: Relay and worker, each None or what their absence means; empty where the database is out.
    """

    checks: Mapping[str, str | None]
    fleet: Mapping[str, str | None]

    @property
    def is_ready(self) -> bool:
        """Whether requests can be accepted."""
        return not any(self.checks.values())

    @property
    def is_degraded(self) -> bool:
        """Whether they would wait for somebody who is not there."""
        return any(self.fleet.values())


class Readiness:
    """Looks at what one process needs.

    Args:
        sessions: Its database.
        store: Where it puts artefacts.
        fresh_seconds: How old a look may be.
    """

    def __init__(
        self, sessions: Sessions, store: ArtefactStore, fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._report = Fresh(self._look, fresh_seconds)

    def report(self) -> Report:
        """Return how things are, or were a moment ago."""
        return self._report.get()

    def _look(self) -> Report:
        present: dict[str, str | None] = {}

        def database() -> None:
            with transaction(self._sessions) as session:
                _require_migrated(session)
                present.update(_absent(session))

        faults = {"database": _fault(database), "store": _fault(self._write)}
        return Report(faults, present)

    def _write(self) -> None:
        stored = self._store.put(PROBE_SPACE, [PROBE])
        self._store.delete(PROBE_SPACE, stored.sha256)


def _fault(look: Callable[[], None]) -> str | None:
    try:
        look()
    except errors.LetheError as error:
        return error.message
    return None


def _require_migrated(session: Session) -> None:
    current = set(MigrationContext.configure(session.connection()).get_current_heads())
    if current != set(ScriptDirectory(str(MIGRATIONS)).get_heads()):
        raise errors.Unavailable("The database is not at the newest migration. Run `alembic upgrade head`.")


def _absent(session: Session) -> dict[str, str | None]:
    """Return, for each role, None or what the absence of all of it means."""
    return {role: None if num else MISSING[role] for role, num in fleet.num_present(session).items()}
