"""Look at the jobs, above all at those that were parked, and put one back."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from service.api import repository
from service.api.access import Admin
from service.api.cursors import After, Limit, next_link, page
from service.api.kernel import KernelOf
from service.api.schemas.problem import problems
from service.api.schemas.values import MODEL_NAME_PATTERN, Moment
from service.core.queue import board
from service.core.queue.board import JobFilter
from service.core.queue.models import Job, JobKind, JobState
from service.core.registry import repository as registry
from service.core.requests import parked

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


class JobView(BaseModel):
    """A piece of work for one model."""

    id: uuid.UUID
    model: str
    kind: JobKind
    state: JobState
    attempts: int
    owner: str | None = Field(description="The worker that claimed it last.")
    reason: str | None = Field(description="Why its last attempt failed.")
    evidence: list[dict[str, Any]] = Field(
        description="Each attempt that was lost or failed: `attempt`, `at`, `owner`, `reason` and, as far as "
        "known, `code`, `stage`, `served` (requests), `exit_status`, `signal`, `peak_memory_bytes`."
    )
    due_at: Moment | None
    not_before: Moment | None
    created_at: Moment
    finished_at: Moment | None


class JobPage(BaseModel):
    """A page of jobs, newest first."""

    items: list[JobView]
    next: str | None


class PutBack(BaseModel):
    """A parked job that was put back: it is closed, and who failed with it is served by another."""

    job: JobView
    requests: list[uuid.UUID] = Field(description="The failed requests that wait again, oldest first.")


@router.get("", responses=problems(404))
def list_jobs(
    caller: Admin,
    kernel: KernelOf,
    after: After,
    state: JobState | None = None,
    model: Annotated[str | None, Query(pattern=MODEL_NAME_PATTERN)] = None,
    limit: Limit = 50,
) -> JobPage:
    """List the jobs that are not done, or those in one state, newest first."""
    with kernel.transaction() as session:
        model_id = registry.model_named(session, model).id if model is not None else None
        found = board.jobs_before(session, JobFilter(state, model_id), after, limit + 1)
        shown, has_more = page(found, limit)
        rows = repository.models_by_id(session, {job.model_id for job in shown})
        items = [_view(job, {row.id: row.name for row in rows.values()}) for job in shown]
    filters = {"state": state, "model": model, "limit": limit}
    link = next_link("/v1/jobs", shown[-1].id, filters) if has_more else None
    return JobPage(items=items, next=link)


@router.post("/{job_id}/retry", status_code=202, responses=problems(404, 409))
def retry(job_id: uuid.UUID, caller: Admin, kernel: KernelOf) -> PutBack:
    """Put a parked job back: its work is done anew, and the requests that failed with it wait again."""
    with kernel.transaction() as session:
        job, requests = parked.retry(session, job_id, caller.id)
        rows = repository.models_by_id(session, {job.model_id})
        view = _view(job, {row.id: row.name for row in rows.values()})
        return PutBack(job=view, requests=[one.id for one in requests])


def _view(job: Job, names: Mapping[uuid.UUID, str]) -> JobView:
    return JobView(
        id=job.id,
        model=names[job.model_id],
        kind=job.kind,
        state=job.state,
        attempts=job.attempts,
        owner=job.owner,
        reason=job.reason,
        evidence=job.evidence,
        due_at=job.due_at,
        not_before=job.not_before,
        created_at=job.created_at,
        finished_at=job.finished_at,
    )
