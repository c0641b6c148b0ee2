"""Rules of access: a key is shown once, compared by digest, and grants only its scopes."""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.access.models import ApiKey, Scope

KEY_PREFIX = "lethe_"

OPERATOR = "admin"
"""Principal behind the installation's own key; no person's name."""

REVOKED_CHANNEL = "lethe_keys"
"""PostgreSQL channel; the payload is the digest of a key that was revoked."""


@dataclass(frozen=True)
class Principal:
    """The caller behind a request.

    Attributes:
        id: Stable name for idempotency and the trail: `admin` or the key's id.
        name: What a person called the key.
        scopes: What it may do.
    """

    id: str
    name: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether the principal holds a scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


def create_key(session: Session, name: str, scopes: Iterable[Scope]) -> tuple[ApiKey, str]:
    """Store a new key and return it with its secret, which is not kept."""
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    row = ApiKey(name=name, digest=digest_of(secret), scopes=sorted({scope.value for scope in scopes}))
    session.add(row)
    session.flush()
    return row, secret


def list_keys(session: Session) -> list[ApiKey]:
    """Return all keys, oldest first, revoked ones included."""
    return list(session.scalars(select(ApiKey).order_by(ApiKey.id)))


def revoke_key(session: Session, key_id: uuid.UUID) -> None:
    """End a key: for whoever looks it up from the commit on, and for whoever remembers it by the notice.

    Raises:
        errors.NotFound: No such key.
    """
    row = session.get(ApiKey, key_id)
    if row is None:
        raise errors.NotFound("No API key has this id. List the keys to see those that exist.")
    row.revoked_at = row.revoked_at or clock.now()
    session.execute(select(func.pg_notify(REVOKED_CHANNEL, row.digest)))


def authenticate(session: Session, secret: str, admin_key: str) -> Principal:
    """Return the principal that a secret stands for.

    Raises:
        errors.Unauthenticated: The secret is not known, or its key was revoked.
    """
    return operator(secret, admin_key) or holder(session, digest_of(secret))


def operator(secret: str, admin_key: str) -> Principal | None:
    """Return the operator if the secret is theirs; takes as long for any secret of the same length."""
    is_admin = hmac.compare_digest(secret.encode(errors="replace"), admin_key.encode())
    return _OPERATOR if is_admin and admin_key else None  # without an admin key: no admin, not an open door


def holder(session: Session, digest: str) -> Principal:
    """Return the principal behind the key with this digest.

    Raises:
        errors.Unauthenticated: No key has it, or the key was revoked.
    """
    row = session.scalar(select(ApiKey).where(ApiKey.digest == digest, ApiKey.revoked_at.is_(None)))
    if row is None:
        raise errors.Unauthenticated(
            "The API key is not known or was revoked. Send a valid one as a Bearer token."
        )
    return Principal(str(row.id), row.name, frozenset(Scope(scope) for scope in row.scopes))


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret in hex; the secrets are random, so no slow hash is needed."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


_OPERATOR = Principal(OPERATOR, OPERATOR, frozenset({Scope.ADMIN}))
