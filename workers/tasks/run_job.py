"""The one task: a bell rang, so jobs are run until none is left that may be run now.

The bell wakes, the worker chooses: the message names the job that became ready, and the worker claims the one
that should go next. It goes on until there is nothing to claim, so a bell that is lost while it works costs
nothing, and one that comes too late finds nothing. A worker that leaves rings again, for the others.
"""

import uuid

from celery import Celery

from service.core import errors, logging
from service.core.db.session import transaction
from service.core.queue import doorbell
from service.core.queue import repository as queue
from workers.jobs.context import Context
from workers.jobs.runner import run_job

log = logging.get(__name__)


def answer(context: Context, bell: uuid.UUID) -> None:
    """Run jobs until nothing can be claimed, or this worker is told to stop."""
    while not context.drain.is_asked:
        if not run_job(context, bell):
            return
    with transaction(context.sessions) as session:
        queue.ring(session, bell)


def register(app: Celery, context: Context) -> None:
    """Give an application the task that runs jobs with this context."""

    @app.task(name=doorbell.TASK_NAME, shared=False)  # type: ignore[untyped-decorator]
    def run(job_id: str) -> None:
        try:
            answer(context, uuid.UUID(job_id))
        except errors.Unavailable as error:
            log.warning("bell.unanswered", code=error.code)
        finally:
            logging.bind()  # what Celery says next is about another job
