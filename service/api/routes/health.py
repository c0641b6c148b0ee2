"""Whether the process lives, and whether it can serve."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from service.api.errors import problem
from service.api.kernel import KernelOf
from service.api.schemas.problem import problems

router = APIRouter(tags=["health"])


@router.get("/livez")
def livez() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=dict[str, Any], responses=problems(503))
def readyz(kernel: KernelOf) -> Response:
    """Tell whether database, migrations and store are as they must be, and whether anybody is at work."""
    report = kernel.readiness.report()
    if not report.is_ready:
        out = [name for name, reason in report.checks.items() if reason is not None]
        return problem(503, "not_ready", f"Out of order: {', '.join(out)}.", checks=dict(report.checks))
    status = "degraded" if report.is_degraded else "ok"
    return JSONResponse({"status": status, "checks": {**report.checks, **report.fleet}})
