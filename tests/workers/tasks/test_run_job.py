"""The task: one bell, and jobs are run until none is left or the worker is told to stop."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

import psycopg
import pytest
from celery import Celery

from service.core import errors
from service.core.db.engine import conninfo
from service.core.db.session import Sessions
from service.core.queue import doorbell
from workers.jobs.drain import Drain
from workers.tasks import run_job


@dataclass
class Worker:
    """What the task needs of a context; its jobs are names, and running one takes it away."""

    sessions: Sessions
    waiting: list[str]
    drain: Drain = field(default_factory=Drain)

    def run(self, bell: UUID) -> bool:
        """Do one job; tell whether there was one."""
        if not self.waiting:
            return False
        if self.waiting.pop(0) == "the last before it leaves":
            self.drain.begin()
        return True


@pytest.fixture
def worker(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A worker for whom three jobs wait."""
    monkeypatch.setattr(run_job, "run_job", Worker.run)
    return Worker(sessions, ["unlearn", "purge", "refresh"])


def hear(worker: Worker, bell: UUID) -> None:
    """Hear one bell."""
    app = Celery("test")
    run_job.register(app, worker)  # type: ignore[arg-type]
    app.tasks[doorbell.TASK_NAME](str(bell))


def test_one_bell_is_enough_for_all_that_waits(worker: Worker) -> None:
    hear(worker, uuid4())

    assert worker.waiting == []


def test_a_worker_that_is_told_to_stop_begins_no_other_job_and_rings_for_the_others(
    worker: Worker, database_url: str
) -> None:
    worker.waiting[0] = "the last before it leaves"
    bell = uuid4()
    with psycopg.connect(conninfo(database_url), autocommit=True) as line:
        line.execute(f"LISTEN {doorbell.JOBS_CHANNEL}")

        hear(worker, bell)

        rung = [notice.payload for notice in line.notifies(timeout=5, stop_after=1)]
    assert worker.waiting == ["purge", "refresh"]
    assert rung == [str(bell)]


def test_a_database_that_is_out_is_left_to_the_next_bell(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out(worker: Worker, bell: UUID) -> bool:
        raise errors.Unavailable("The database did not answer.")

    monkeypatch.setattr(run_job, "run_job", out)

    hear(worker, uuid4())

    assert len(worker.waiting) == 3
