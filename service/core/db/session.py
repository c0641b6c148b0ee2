"""One request or one task is one transaction: committed at the edge, rolled back on any error."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from service.core import errors

Sessions = sessionmaker[Session]


def open_sessions(engine: Engine) -> Sessions:
    """Return the maker of sessions; rows stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def transaction(sessions: Sessions) -> Iterator[Session]:
    """Yield a session and commit it at the end; nothing inside commits by itself.

    Raises:
        errors.Unavailable: The database is out of reach or its pool is exhausted. Nothing was written, unless
            the connection broke during the commit itself.
    """
    try:
        with sessions.begin() as session:
            yield session
    except PoolTimeout as error:
        raise errors.Unavailable("All database connections are busy. Try again shortly.") from error
    except (OperationalError, psycopg.OperationalError) as error:  # the driver's own: a COPY that failed
        raise errors.Unavailable("The database did not answer. Try again shortly.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise errors.Unavailable("The database connection broke. Try again shortly.") from error
        raise
