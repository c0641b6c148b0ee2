"""Celery shells, a glance long: ids in, nothing else."""
