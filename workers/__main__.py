"""Starts a worker: `python -m workers`. One at a time, one job at a time, one engine child.

SIGTERM drains it: no more jobs, and `LETHE_DRAIN_SECONDS` for the one at hand. A second SIGTERM, or Ctrl-C,
has that given back at once.
"""

import os
import signal
from types import FrameType

from celery import signals
from celery.worker import state

from service.core import logging, tracing
from workers.app import create_app, open_context
from workers.jobs.drain import Drain
from workers.jobs.presence import Presence
from workers.settings import WorkerSettings
from workers.tasks import run_job


def main() -> None:
    """Serve jobs until told to stop."""
    settings = WorkerSettings()
    logging.configure(settings.log_level, settings.log_format)
    tracing.configure("lethe-worker")
    app = create_app(settings)
    context = open_context(settings)
    run_job.register(app, context)
    take_over = lambda **_: obey_signals(context.drain)  # noqa: E731 - Celery calls it with what it likes
    signals.worker_ready.connect(take_over, weak=False)  # by then Celery has set handlers of its own
    try:
        with Presence(context, os.getpid()):
            app.worker_main(
                [
                    "worker",
                    "--pool=solo",
                    "--concurrency=1",
                    "--without-gossip",
                    "--without-mingle",
                    "--without-heartbeat",
                    f"--hostname=lethe-{os.getpid()}@%h",
                    f"--loglevel={settings.log_level}",
                ]
            )
    finally:
        context.engine.stop()


def obey_signals(drain: Drain) -> None:
    """Leave on SIGTERM after the job at hand, on SIGINT at once; Celery's loop ends with the job."""

    def leave(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            drain.hurry()
        else:
            drain.begin()
        state.should_stop = os.EX_OK

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)


if __name__ == "__main__":
    main()
