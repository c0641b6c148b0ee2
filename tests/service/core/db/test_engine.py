"""A process that falls silent in the middle of a transaction keeps no lock for long."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.core.db.engine import open_engine


def test_a_session_that_is_silent_in_a_transaction_loses_its_locks(database_url: str) -> None:
    silent = open_engine(database_url, silence_seconds=0.2)
    other = open_engine(database_url)
    with silent.connect() as paused, other.connect() as patient:
        paused.execute(text("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE"))

        patient.execute(text("SET lock_timeout = '60s'"))
        found = patient.scalar(text("SELECT count(*) FROM jobs"))

        assert found == 0
        with pytest.raises(DBAPIError):
            paused.execute(text("SELECT 1"))
        paused.invalidate()
    silent.dispose()
    other.dispose()
