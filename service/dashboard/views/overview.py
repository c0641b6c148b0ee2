"""What the first page shows: headline numbers, requests, what each model does, the ledger, the workers."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from service.core.fleet import repository as fleet
from service.core.queue.models import Job, JobKind, JobState
from service.core.requests import repository as requests
from service.core.requests.models import Run
from service.core.requests.repository import RequestFilter
from service.core.requests.states import CLOSED, Status
from service.dashboard import figures, repository, words
from service.dashboard.repository import LedgerHealth
from service.dashboard.views.fleet import Fleet, fleet_of
from service.dashboard.views.rows import Progress, RequestRow, progress_of, rows_of

PAGE_SIZE = 25
STALLED_AFTER = timedelta(minutes=1)
"""An entry has its place within seconds; one that waits longer means that no relay is at work."""
DOING = {
    JobKind.PREPARE: "Preparing the model",
    JobKind.UNLEARN: "Unlearning",
    JobKind.EXACT: "Retraining exactly for interim versions",
    JobKind.ACCEPT: "Publishing what a person accepted",
    JobKind.PURGE: "Deleting withdrawn files",
    JobKind.REFRESH: "Getting ready for the next request",
    JobKind.STUDY: "Studying what it can promise",
}


@dataclass(frozen=True)
class Choice:
    """One option of a filter."""

    value: str
    text: str
    is_chosen: bool


@dataclass(frozen=True)
class Headline:
    """One headline number, linked to the requests it counts."""

    number: int
    text: str
    query: str
    is_alarming: bool = False


@dataclass(frozen=True)
class Work:
    """What one job of a model is doing."""

    text: str
    attempts: int
    progress: Progress | None = None
    reason: str | None = None
    is_parked: bool = False


@dataclass(frozen=True)
class Queue:
    """What one model is busy with."""

    model: str
    num_requests: int
    works: tuple[Work, ...]


@dataclass(frozen=True)
class Overview:
    """The first page."""

    headlines: tuple[Headline, ...]
    statuses: tuple[Choice, ...]
    models: tuple[Choice, ...]
    chosen: RequestFilter
    rows: tuple[RequestRow, ...]
    older: str | None
    """Query of the next page; None at the end."""
    newest: str | None
    """Query of the first page; None on it."""
    queues: tuple[Queue, ...]
    ledger: LedgerHealth
    is_ledger_stalled: bool
    fleet: Fleet
    title: str = "Requests"

    @property
    def is_filtered(self) -> bool:
        """Whether the list leaves anything out."""
        return self.chosen != RequestFilter()


def look(session: Session, now: datetime, chosen: RequestFilter, before: uuid.UUID | None) -> Overview:
    """Read the first page.

    Args:
        session: A transaction.
        now: The present moment.
        chosen: Which requests to list.
        before: The last request of the page before this one; None for the first page.
    """
    names, ledger = repository.model_names(session), repository.ledger_health(session)
    found = requests.requests_before(session, chosen, before, PAGE_SIZE + 1)
    shown = found[:PAGE_SIZE]
    jobs = repository.jobs_of_note(session)
    return Overview(
        headlines=_headlines(repository.status_counts(session), repository.num_overdue(session)),
        statuses=tuple(Choice(one.value, words.status(one).text, one == chosen.status) for one in Status),
        models=tuple(Choice(name, name, name == chosen.model) for name in names.values()),
        chosen=chosen,
        rows=rows_of(session, shown, names, now),
        older=_query(chosen, shown[-1].id) if len(found) > PAGE_SIZE else None,
        newest=_query(chosen) if before else None,
        queues=_queues(
            names,
            repository.queued_by_model(session),
            jobs,
            repository.open_runs(session),
        ),
        ledger=ledger,
        is_ledger_stalled=ledger.waiting_since is not None and now - ledger.waiting_since > STALLED_AFTER,
        fleet=fleet_of(fleet.present(session), jobs, names),
    )


def _headlines(counts: Mapping[Status, int], num_overdue: int) -> tuple[Headline, ...]:
    num_open = sum(count for status, count in counts.items() if status not in CLOSED)
    num_review = counts.get(Status.NEEDS_REVIEW, 0)
    num_failed = counts.get(Status.FAILED, 0)
    lines = [
        Headline(num_open, "open", ""),
        Headline(num_overdue, "overdue", "overdue=true", is_alarming=num_overdue > 0),
        Headline(num_review, "to review", "status=needs_review", is_alarming=num_review > 0),
        Headline(counts.get(Status.COMPLETED, 0), "completed", "status=completed"),
    ]
    if num_failed:
        lines.insert(3, Headline(num_failed, "failed", "status=failed", is_alarming=True))
    return tuple(lines)


def _query(chosen: RequestFilter, before: uuid.UUID | None = None) -> str:
    fields = {
        "status": chosen.status,
        "model": chosen.model,
        "overdue": "true" if chosen.is_overdue else None,
        "before": before,
    }
    return urlencode({name: str(value) for name, value in fields.items() if value is not None})


def _queues(
    names: Mapping[uuid.UUID, str],
    num_queued: Mapping[uuid.UUID, int],
    jobs: Sequence[Job],
    runs: Sequence[Run],
) -> tuple[Queue, ...]:
    """Return the models that have anything to do, by name."""
    run_of_job = {run.job_id: run for run in runs}
    works: defaultdict[uuid.UUID, list[Work]] = defaultdict(list)
    for job in jobs:
        works[job.model_id].append(_work(job, run_of_job.get(job.id)))
    return tuple(
        Queue(name, num_queued.get(model_id, 0), tuple(works[model_id]))
        for model_id, name in names.items()
        if model_id in works or model_id in num_queued
    )


def _work(job: Job, run: Run | None) -> Work:
    text = DOING[JobKind(job.kind)]
    if job.state == JobState.PARKED:
        return Work(f"{text}: given up", job.attempts, reason=job.reason, is_parked=True)
    if job.state == JobState.READY and job.kind == JobKind.EXACT and job.not_before is not None:
        return Work(f"{text}: due {figures.moment(job.not_before)}", job.attempts, reason=job.reason)
    if job.state == JobState.READY:
        return Work(f"{text}: waits its turn", job.attempts, reason=job.reason)
    return Work(text, job.attempts, progress_of(run) if run else None)
