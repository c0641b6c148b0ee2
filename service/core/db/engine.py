"""The engine: one pool of connections a process, with bounds on every wait."""

from sqlalchemy import Engine, create_engine


def open_engine(url: str, *, pool_size: int = 5, pool_timeout_seconds: float = 5.0) -> Engine:
    """Return an engine for PostgreSQL by psycopg; connects on first use.

    Args:
        url: `postgresql+psycopg://...`.
        pool_size: Connections kept; as many again may be opened under load.
        pool_timeout_seconds: How long a caller waits for a free connection.
    """
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=pool_timeout_seconds,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text ends up in logs; a row's values do not belong there
        connect_args={"connect_timeout": 5},
    )


def conninfo(url: str) -> str:
    """Return a psycopg connection string for what SQLAlchemy calls `url`, for LISTEN on a bare connection."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
