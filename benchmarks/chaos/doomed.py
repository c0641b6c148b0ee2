"""A worker that keeps its dooms: `python -m benchmarks.chaos.doomed`.

It is `python -m workers`, with the places where a job passes from one step to the next wrapped from outside.
The product has no hook for it, and a worker started by its own name has no dooms.

`LETHE_CHAOS_DIR` names the folder of dooms, `LETHE_CHAOS_SKEW` the seconds by which this process's clock is
wrong.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

from benchmarks.chaos.dooms import Dooms
from service.core import clock
from service.core.queue import endings
from service.core.queue.models import JobKind
from service.core.registry import service as registry
from service.core.requests import publishing
from workers import __main__ as worker
from workers.engine import messages
from workers.engine.client import Engine
from workers.jobs import runner
from workers.tasks import run_job as task

AFTER_CALL = {"unlearn": "unlearned", "audit": "audited", "carry": "staged", "prepare": "preparing"}


def main() -> None:
    """Wrap the steps, then be an ordinary worker."""
    dooms = Dooms(Path(os.environ["LETHE_CHAOS_DIR"]))
    skew = timedelta(seconds=float(os.environ.get("LETHE_CHAOS_SKEW", "0")))
    if skew:
        true_now = clock.now
        clock.now = lambda: true_now() + skew
    _wrap_engine(dooms)
    _wrap_jobs(dooms)
    _after(publishing, "publish", dooms, "publishing")
    _after(registry, "renew_preparation", dooms, "refreshing")
    worker.main()


def _wrap_engine(dooms: Dooms) -> None:
    plain = Engine.call

    @wraps(plain)
    def call(self: Engine, asked: Any, expected: Any, pulse: Any, on_progress: Any) -> Any:
        def told(stage: str, fraction: float) -> None:
            if isinstance(asked, messages.Unlearn):
                dooms.reach("loaded")
            on_progress(stage, fraction)

        reply = plain(self, asked, expected, pulse, told)
        if asked.call in AFTER_CALL:
            dooms.reach(AFTER_CALL[asked.call])
        return reply

    Engine.call = call  # type: ignore[method-assign]


def _wrap_jobs(dooms: Dooms) -> None:
    def watched(kind: JobKind, job: Callable[..., None]) -> Callable[..., None]:
        def run(*given: Any) -> None:
            if kind is JobKind.UNLEARN:
                dooms.reach("claimed")
            job(*given)
            if kind is JobKind.UNLEARN:
                dooms.reach("published")

        return run

    for kind, job in runner.JOBS.items():
        runner.JOBS[kind] = watched(kind, job)
    plain_finish = endings.finish

    def finish(session: Any, lease: Any) -> None:
        plain_finish(session, lease)
        if lease.kind is JobKind.PURGE:
            dooms.reach("purging")

    endings.finish = finish
    plain_run = runner.run_job

    def acknowledged(*given: Any) -> bool:
        was_work = plain_run(*given)
        if was_work:
            dooms.reach("acknowledged")
        return was_work

    setattr(task, "run_job", acknowledged)  # noqa: B010 - the name that the task calls


def _after(module: Any, name: str, dooms: Dooms, step: str) -> None:
    plain = getattr(module, name)

    @wraps(plain)
    def wrapped(*given: Any, **named: Any) -> Any:
        result = plain(*given, **named)
        dooms.reach(step)
        return result

    setattr(module, name, wrapped)


if __name__ == "__main__":
    main()
