"""The engine: one pool of connections a process, with bounds on every wait."""

from sqlalchemy import Engine, create_engine


def open_engine(
    url: str, *, pool_size: int = 5, pool_timeout_seconds: float = 5.0, silence_seconds: float = 30.0
) -> Engine:
    """Return an engine for PostgreSQL by psycopg; connects on first use.

    A process that is cut off or paused in the middle of a transaction leaves a session that holds its locks,
    for two hours by default, and whoever passes over locked rows passes over its job. So the server ends
    sessions that are silent in a transaction.

    Args:
        url: `postgresql+psycopg://...`.
        pool_size: Connections kept; as many again may be opened under load.
        pool_timeout_seconds: How long a caller waits for a free connection.
        silence_seconds: How long the server waits for the next statement of a transaction, and this side for
            an acknowledgement of what it sent.
    """
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=pool_timeout_seconds,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text ends up in logs; a row's values do not belong there
        connect_args={
            "connect_timeout": 5,
            "tcp_user_timeout": round(1000 * silence_seconds),
            "options": f"-c idle_in_transaction_session_timeout={round(1000 * silence_seconds)}",
        },
    )


def conninfo(url: str) -> str:
    """Return a psycopg connection string for what SQLAlchemy calls `url`, for LISTEN on a bare connection."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
