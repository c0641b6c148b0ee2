"""Health of a worker or a relay: exits 0 when its database and its broker answer.

A worker in the middle of a job answers nobody; that it still lives, its lease tells.
"""

import psycopg
import redis

from service.core.db.engine import conninfo
from workers.settings import WorkerSettings

TIMEOUT_SECONDS = 5

settings = WorkerSettings()
with psycopg.connect(conninfo(settings.database_url), connect_timeout=TIMEOUT_SECONDS) as connection:
    connection.execute("SELECT 1")
redis.Redis.from_url(settings.broker_url, socket_timeout=TIMEOUT_SECONDS).ping()
