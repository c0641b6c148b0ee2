"""The task: one bell, and jobs are run until none is left or the worker is told to stop."""

import uuid
from typing import Any, cast

import pytest
from celery import Celery
from celery.worker import state

from service.core.queue import doorbell
from workers.jobs.context import Context
from workers.tasks import run_job


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs that wait, in place of the database; running one takes it away."""
    waiting = ["unlearn", "purge", "refresh"]
    monkeypatch.setattr(run_job, "run_job", lambda context, bell: bool(waiting) and bool(waiting.pop(0)))
    return waiting


def ring(**options: Any) -> None:
    """Hear one bell."""
    app = Celery("test")
    run_job.register(app, cast(Context, None), **options)
    app.tasks[doorbell.TASK_NAME](str(uuid.uuid4()))


def test_one_bell_is_enough_for_all_that_waits(jobs: list[str]) -> None:
    ring()

    assert jobs == []


def test_a_worker_that_is_told_to_stop_begins_no_other_job(jobs: list[str]) -> None:
    ring(stop=lambda: len(jobs) == 1)

    assert jobs == ["refresh"]


@pytest.mark.parametrize("signal", ["should_stop", "should_terminate"])
def test_celerys_shutdown_is_heard_also_with_exit_code_0(
    jobs: list[str], monkeypatch: pytest.MonkeyPatch, signal: str
) -> None:
    monkeypatch.setattr(state, signal, 0)

    ring()

    assert len(jobs) == 3
