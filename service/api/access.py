"""Who may call: every path under `/v1` needs a known key before its body is read, and every route a scope."""

from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.security import HTTPBearer, SecurityScopes
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.errors import problem_of
from service.api.kernel import Kernel
from service.core import errors
from service.core.access import models
from service.core.access.service import Principal

PROTECTED = "/v1/"
PUBLIC = ("/v1/log/checkpoint", "/v1/log/vkey", "/v1/log/tile/")
"""What any stranger may read, so that the log can be checked without our leave."""

bearer = HTTPBearer(auto_error=False, description="An API key.")


class Authentication:
    """Finds out who calls before anything else is done for them; a caller it remembers costs no thread.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a known caller, refuse any other."""
        if scope["type"] == "http" and _is_protected(scope["path"]):
            kernel: Kernel = scope["app"].state.kernel
            try:
                secret = _secret(Headers(scope=scope))
                principal = await kernel.callers.find(secret)
            except errors.LetheError as error:
                await problem_of(error)(scope, receive, send)
                return
            scope.setdefault("state", {})["principal"] = principal
        await self.app(scope, receive, send)


async def permitted(
    request: Request, needed: SecurityScopes, _: Annotated[Any, Security(bearer)]
) -> Principal:
    """Return the caller if it holds the scopes of the route.

    Raises:
        errors.Unauthenticated: Nobody was authenticated.
        errors.Forbidden: A scope is missing.
    """
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        raise _unknown()
    missing = [scope for scope in needed.scopes if not principal.may(models.Scope(scope))]
    if missing:
        raise errors.Forbidden(
            f"This key lacks the scope {', '.join(missing)}. Ask the operator for one that has it.",
            code="missing_scope",
        )
    return principal


def _needs(scope: models.Scope) -> Any:  # Any: FastAPI declares its markers so
    return Security(permitted, scopes=[scope.value])


RequestsReader = Annotated[Principal, _needs(models.Scope.REQUESTS_READ)]
RequestsWriter = Annotated[Principal, _needs(models.Scope.REQUESTS_WRITE)]
ModelsReader = Annotated[Principal, _needs(models.Scope.MODELS_READ)]
ModelsWriter = Annotated[Principal, _needs(models.Scope.MODELS_WRITE)]
Auditor = Annotated[Principal, _needs(models.Scope.AUDIT_READ)]
Admin = Annotated[Principal, _needs(models.Scope.ADMIN)]


def _is_protected(path: str) -> bool:
    return path.startswith(PROTECTED) and not path.startswith(PUBLIC)


def _secret(headers: Headers) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise _unknown()
    return secret.strip()


def _unknown() -> errors.Unauthenticated:
    return errors.Unauthenticated("An API key is needed. Send it as `Authorization: Bearer KEY`.")
