"""Session tickets: what a signed-in browser carries in its cookie instead of the API key.

    PRINCIPAL.EXPIRES.MAC        e.g. admin.1795219200.9c1f...

MAC is HMAC-SHA256 under a key derived from the installation's admin key, so a ticket cannot be forged, ends
by itself, and changing the admin key ends all of them. A ticket names its holder and grants nothing: scopes
and revocation are looked up at each request. Law: `read(issue(p, t), t) == p` for an id without a dot.
"""

import hashlib
import hmac
from datetime import datetime

LIFETIME_SECONDS = 8 * 3600
_PURPOSE = b"lethe dashboard session ticket, version 1"


class Tickets:
    """Issues and reads tickets.

    Args:
        admin_key: The installation's admin key.
    """

    def __init__(self, admin_key: str) -> None:
        self._key = hmac.digest(admin_key.encode(), _PURPOSE, hashlib.sha256)

    def issue(self, principal_id: str, now: datetime) -> str:
        """Return a ticket that holds for `LIFETIME_SECONDS`."""
        claim = f"{principal_id}.{int(now.timestamp()) + LIFETIME_SECONDS}"
        return f"{claim}.{self._mac(claim)}"

    def read(self, ticket: str, now: datetime) -> str | None:
        """Return the principal's id, or None: not ours, altered or expired."""
        claim, _, mac = ticket.rpartition(".")
        principal_id, _, expires = claim.partition(".")
        if not hmac.compare_digest(self._mac(claim).encode(), mac.encode(errors="replace")):
            return None
        return principal_id if now.timestamp() < int(expires) else None

    def _mac(self, claim: str) -> str:
        return hmac.digest(self._key, claim.encode(errors="replace"), hashlib.sha256).hex()
