"""The GPU side: the relay, the Celery worker, and the numerics of forgetting and auditing."""
