"""The one task: a bell rang for a job."""

import uuid

from celery import Celery

from service.core import errors, logging
from service.core.db.session import transaction
from service.core.queue import doorbell
from service.core.queue import repository as queue
from workers.jobs.context import Context
from workers.jobs.runner import run_job

log = logging.get(__name__)


def pass_on(context: Context, job_id: uuid.UUID) -> None:
    """Have the bell rung again, for another worker: this one leaves."""
    with transaction(context.sessions) as session:
        queue.ring(session, job_id)


def register(app: Celery, context: Context) -> None:
    """Give an application the task that runs jobs with this context."""

    @app.task(name=doorbell.TASK_NAME)  # type: ignore[untyped-decorator]
    def run(job_id: str) -> None:
        try:
            if context.drain.is_asked:
                pass_on(context, uuid.UUID(job_id))
            else:
                run_job(context, uuid.UUID(job_id))
        except errors.Unavailable as error:
            log.warning("bell.unanswered", code=error.code)
        finally:
            logging.bind()  # what Celery says next is about another job
