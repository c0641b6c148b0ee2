"""Who is behind a key, remembered, so that a call costs neither a query nor a thread.

Remembered are principals by the digest of their secret, never the secret, and only of keys that are good: an
unknown secret is looked up each time, so that strangers cannot fill the memory. Revoking a key notifies in
its own transaction. Every process that hears drops the key within milliseconds of the commit; one that has
lost its news line trusts nothing it remembers; and one that believes it hears and does not, ends the key
after `TRUSTED_SECONDS`. The process that revokes drops the key before it answers.
"""

from anyio import to_thread

from service.api.remembered import Remembered
from service.core.access import service
from service.core.access.service import Principal
from service.core.db.session import Sessions, transaction

TRUSTED_SECONDS = 5.0
"""Longest time that a revoked key may still open a process whose news line is dead without its knowing."""

NUM_REMEMBERED = 10_000


class Callers:
    """The principals that a process knows.

    Args:
        sessions: Where keys are looked up.
        admin_key: Key of the operator.
    """

    def __init__(self, sessions: Sessions, admin_key: str) -> None:
        self._sessions = sessions
        self._admin_key = admin_key
        self.remembered = Remembered(self._look_up, seconds=TRUSTED_SECONDS, limit=NUM_REMEMBERED)

    def known(self, secret: str) -> Principal | None:
        """Return whom a secret stands for if that needs no look-up."""
        return service.operator(secret, self._admin_key) or self.remembered.peek(service.digest_of(secret))

    async def find(self, secret: str) -> Principal:
        """Return whom a secret stands for.

        Raises:
            errors.Unauthenticated: The secret is not known, or its key was revoked.
            errors.Unavailable: The database did not answer.
        """
        return self.known(secret) or await self.remembered.get(service.digest_of(secret))

    async def _look_up(self, digest: str) -> Principal:
        return await to_thread.run_sync(self._holder, digest)

    def _holder(self, digest: str) -> Principal:
        with transaction(self._sessions) as session:
            return service.holder(session, digest)
