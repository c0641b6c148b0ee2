"""The doorbell's names: what the database tells the relay, and what the relay tells the workers.

A message carries a job's id and nothing else, and may be lost or doubled at will: the truth is the job row.
"""

JOBS_CHANNEL = "lethe_jobs"
"""PostgreSQL channel; the payload is the id of a job that is ready."""

PUBLISHED_CHANNEL = "lethe_published"
"""PostgreSQL channel; the payload is the name of a model whose latest version changed."""

TASK_NAME = "lethe.run_job"
"""Celery task that claims and runs one job."""

QUEUE_NAME = "lethe.jobs"
"""Celery queue that every worker listens on."""
