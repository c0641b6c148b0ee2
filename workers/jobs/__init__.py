"""Use cases without Celery: claim, prepare, plan, unlearn, audit, publish, purge."""
