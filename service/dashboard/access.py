"""Who is looking: a Bearer key or a session cookie, and the scope that opens the dashboard."""

import uuid
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from service.core import clock, errors
from service.core.access import service as access
from service.core.access.models import Scope
from service.core.access.service import Principal
from service.core.db.session import transaction
from service.dashboard import repository
from service.dashboard.kernel import Kernel, KernelOf
from service.dashboard.tickets import Tickets

COOKIE = "lethe_dashboard"
ADMIN = Principal("admin", "admin", frozenset({Scope.ADMIN}))


class SignInNeeded(Exception):
    """Nobody is signed in, or the session has ended."""


def visitor(request: Request, kernel: KernelOf) -> Principal:
    """Return who is looking.

    Raises:
        SignInNeeded: There is neither a key nor a valid session.
        errors.Unauthenticated: The Bearer key is not known.
        errors.Forbidden: The key may not read requests.
    """
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return admit(kernel, secret.strip())
    principal = _holder(kernel, request.cookies.get(COOKIE, ""))
    if principal is None:
        raise SignInNeeded
    return _require(principal, Scope.REQUESTS_READ)


def auditor(principal: Annotated[Principal, Depends(visitor)]) -> Principal:
    """Return who is looking, if they may take evidence away.

    Raises:
        errors.Forbidden: They may not.
    """
    return _require(principal, Scope.AUDIT_READ)


def admit(kernel: Kernel, secret: str) -> Principal:
    """Return the principal behind an API key that may look at the dashboard.

    Raises:
        errors.Unauthenticated: The key is not known.
        errors.Forbidden: The key may not read requests.
    """
    with transaction(kernel.sessions) as session:
        principal = access.authenticate(session, secret, kernel.settings.admin_key.get_secret_value())
    return _require(principal, Scope.REQUESTS_READ)


def tickets(kernel: Kernel) -> Tickets:
    """Return what issues and reads this installation's session tickets."""
    return Tickets(kernel.settings.admin_key.get_secret_value())


def _holder(kernel: Kernel, ticket: str) -> Principal | None:
    """Return whose ticket this is, with the scopes the key has now; None when it opens nothing any more."""
    principal_id = tickets(kernel).read(ticket, clock.now())
    if principal_id is None or principal_id == ADMIN.id:
        return ADMIN if principal_id else None
    with transaction(kernel.sessions) as session:
        key = repository.live_key(session, uuid.UUID(principal_id))
    if key is None:
        return None
    return Principal(principal_id, key.name, frozenset(Scope(scope) for scope in key.scopes))


def _require(principal: Principal, scope: Scope) -> Principal:
    if not principal.may(scope):
        raise errors.Forbidden(f"This key may not look at this: it needs the scope {scope} or {Scope.ADMIN}.")
    return principal


Visitor = Annotated[Principal, Depends(visitor)]
Auditor = Annotated[Principal, Depends(auditor)]
