"""The numbers a monitoring system scrapes."""

from fastapi import APIRouter, Response

from service.api.kernel import KernelOf
from service.api.meters import CONTENT_TYPE

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response)
def metrics(kernel: KernelOf) -> Response:
    """Give every metric in Prometheus' text format."""
    return Response(kernel.meters.render(), headers={"Content-Type": CONTENT_TYPE})
