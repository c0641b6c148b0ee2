"""What the dashboard needs of the process that serves it, and where it finds that: `app.state.kernel`."""

from typing import Annotated, Protocol

from fastapi import Depends
from pydantic import SecretStr
from starlette.requests import Request

from service.core.db.session import Sessions
from service.core.ledger.signing import Verifier


class Settings(Protocol):
    """The one setting that is used here."""

    @property
    def admin_key(self) -> SecretStr:
        """Key of the operator; session cookies are signed with a key derived from it."""


class Kernel(Protocol):
    """The open resources of the process."""

    @property
    def settings(self) -> Settings:
        """What the process was told."""

    @property
    def sessions(self) -> Sessions:
        """Where the truth lies."""

    @property
    def verifier(self) -> Verifier:
        """Public half of the ledger's key, to read certificates with."""


def kernel_of(request: Request) -> Kernel:
    """Return the resources of the process that answers a request."""
    kernel: Kernel = request.app.state.kernel
    return kernel


KernelOf = Annotated[Kernel, Depends(kernel_of)]
