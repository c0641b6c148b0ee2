"""The one task: a bell rang for a job."""

import uuid

from celery import Celery

from service.core import errors, logging
from service.core.queue import doorbell
from workers.jobs.context import Context
from workers.jobs.runner import run_job

log = logging.get(__name__)


def register(app: Celery, context: Context) -> None:
    """Give an application the task that runs jobs with this context."""

    @app.task(name=doorbell.TASK_NAME)  # type: ignore[untyped-decorator]
    def run(job_id: str) -> None:
        try:
            run_job(context, uuid.UUID(job_id))
        except errors.Unavailable as error:
            log.warning("bell.unanswered", code=error.code)
