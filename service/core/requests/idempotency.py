"""Idempotency keys: a caller's key stands for one body and one request, however often it comes.

A key is written in the transaction of its request. A twin that comes meanwhile waits for that transaction,
then finds the key. Keys are written in their order, so that two transactions never wait for each other in a
circle. Within one transaction the first to bring a key decides what it stands for.

The fingerprint is kept under the pseudonym key alone: from the bare digest of a body, whoever can guess a
subject's id could tell that it was named.
"""

import hashlib
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ARRAY, String, Uuid, bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.db.base import Base
from service.core.requests.models import ForgetRequest, IdempotencyKey

Name = tuple[str, str]
"""A principal, and the key that it chose."""

_ROWS = (
    func.unnest(
        bindparam("principals", type_=ARRAY(String)),
        bindparam("keys", type_=ARRAY(String)),
        bindparam("fingerprints", type_=ARRAY(String)),
        bindparam("request_ids", type_=ARRAY(Uuid())),
    )
    .table_valued("principal", "key", "fingerprint", "request_id", with_ordinality="place")
    .render_derived()
)
_KEYS = Base.metadata.tables[IdempotencyKey.__tablename__]
WRITE = (
    insert(_KEYS)
    .from_select(
        ["principal", "key", "fingerprint", "request_id", "created_at"],
        select(
            _ROWS.c.principal,
            _ROWS.c.key,
            _ROWS.c.fingerprint,
            _ROWS.c.request_id,
            bindparam("now", type_=_KEYS.c.created_at.type),
        ).order_by(_ROWS.c.place),
    )
    .on_conflict_do_nothing()
    .returning(_KEYS.c.principal, _KEYS.c.key)
)
"""Writes keys in their order, by one statement for any number, and tells which of them were free."""


@dataclass(frozen=True)
class Claim:
    """A key that a caller wants to stand for a request.

    Attributes:
        name: Whose key.
        fingerprint: Keyed HMAC of the body's digest, hex.
        request_id: The request that it would stand for.
    """

    name: Name
    fingerprint: str
    request_id: uuid.UUID


@dataclass(frozen=True)
class Holder:
    """What a key stood for before: the fingerprint of its body, and its request."""

    fingerprint: str
    request: ForgetRequest


def claim(session: Session, claims: Iterable[Claim]) -> Mapping[Name, Holder]:
    """Write keys, each named once, and return what those that are taken stand for."""
    wanted = {each.name: each for each in sorted(claims, key=lambda each: each.name)}
    if not wanted:
        return {}
    written = session.execute(
        WRITE,
        {
            "principals": [principal for principal, _ in wanted],
            "keys": [key for _, key in wanted],
            "fingerprints": [each.fingerprint for each in wanted.values()],
            "request_ids": [each.request_id for each in wanted.values()],
            "now": clock.now(),
        },
    )
    taken = wanted.keys() - {(principal, key) for principal, key in written}
    return _holders(session, taken) if taken else {}


def release(session: Session, names: Collection[Name]) -> None:
    """Give keys back whose requests were refused: nothing stands for them."""
    if names:
        session.execute(
            delete(IdempotencyKey).where(tuple_(IdempotencyKey.principal, IdempotencyKey.key).in_(names))
        )


def reused() -> errors.Invalid:
    """Return what is answered where a key comes with another body than before."""
    return errors.Invalid(
        "This Idempotency-Key was used with another body. Use a new key for a new request.",
        code="idempotency_key_reused",
    )


def fingerprint(body: bytes) -> str:
    """Return what a key is compared by: the SHA-256 of the body, hex."""
    return hashlib.sha256(body).hexdigest()


def _holders(session: Session, names: Collection[Name]) -> Mapping[Name, Holder]:
    rows = session.execute(
        select(IdempotencyKey, ForgetRequest)
        .join(ForgetRequest, ForgetRequest.id == IdempotencyKey.request_id)
        .where(tuple_(IdempotencyKey.principal, IdempotencyKey.key).in_(names))
    )
    return {(key.principal, key.key): Holder(key.fingerprint, request) for key, request in rows}
