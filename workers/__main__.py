"""Starts a worker: `python -m workers`. One at a time, one job at a time, one engine child."""

import os

from service.core import logging
from workers.app import create_app, open_context
from workers.settings import WorkerSettings
from workers.tasks import run_job


def main() -> None:
    """Serve jobs until told to stop; a job that is running ends first."""
    settings = WorkerSettings()
    logging.configure(settings.log_level, settings.log_format)
    app = create_app(settings)
    context = open_context(settings)
    run_job.register(app, context)
    try:
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


if __name__ == "__main__":
    main()
