"""The setting: PostgreSQL, an API process as `lethe up` starts it, and a bare peer with the same options.

The database is the embedded one, migrated; one model serves version 1 with a file of a given size, and a key
may read models. Nothing else of Lethe runs: whoever publishes does it in this process, as a worker would.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

import lethe
from lethe.embedded.postgres import EmbeddedPostgres
from lethe.embedded.process import Program, free_port, running
from service.core.access import service as access
from service.core.access.models import Scope
from service.core.db.engine import open_engine
from service.core.db.session import Sessions, open_sessions, transaction
from service.core.registry import repository
from service.core.registry import service as registry
from service.core.registry.policy import Policy
from service.core.registry.service import NamedFile, Registration
from service.core.storage.filesystem import FilesystemStore

CODE_ROOT = Path(lethe.__file__).resolve().parent.parent
MODEL = "digits"
LATEST = f"/v1/models/{MODEL}/versions/latest"
MEBIBYTE = 1 << 20
OPTIONS = ("--no-access-log", "--timeout-graceful-shutdown", "2")
"""What `lethe up` starts uvicorn with."""


@dataclass(frozen=True)
class Setting:
    """What runs.

    Attributes:
        folder: Everything lies here.
        api: The API process.
        url: Where it answers.
        key: An API key that may read models; not the operator's.
        engine: The database.
        sessions: Sessions on it.
        store: The artefacts.
    """

    folder: Path
    api: "Popen[bytes]"
    url: str
    key: str
    engine: Engine
    sessions: Sessions
    store: FilesystemStore

    @property
    def authorization(self) -> str:
        """The header's value that lets the key in."""
        return f"Bearer {self.key}"

    def etag(self) -> str:
        """Return the entity tag of what is served."""
        answer = httpx.get(self.url + LATEST, headers={"Authorization": self.authorization}, trust_env=False)
        return answer.raise_for_status().headers["ETag"]

    def publish(self, num_bytes: int) -> Path:
        """Publish the model's next version with one file of so many bytes; return the file."""
        with transaction(self.sessions) as session:
            model = repository.model_named(session, MODEL, lock=True)
            stored = self.store.put(model.space, _noise(num_bytes))
            registry.publish(
                session,
                model,
                base_number=model.served_version,
                files=[NamedFile("model.safetensors", stored, is_public=True)],
                guarantee=None,
                run_id=None,
                facts={},
            )
            return self.store.path(model.space, stored.sha256)

    def transactions(self) -> int:
        """Return how many transactions this database has finished, by its own count."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SELECT pg_stat_force_next_flush()"))
            query = text(
                "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
            )
            return int(connection.scalar(query) or 0)


@contextmanager
def opened(folder: Path, num_bytes: int) -> Iterator[Setting]:
    """Start everything for the length of a `with` block; version 1 is served.

    Args:
        folder: Where everything lies.
        num_bytes: Size of version 1's file.
    """
    postgres = EmbeddedPostgres(folder / "postgres", folder / "postgres.log", free_port())
    with ExitStack() as stack:
        stack.enter_context(running(postgres.program()))
        postgres.ensure_database("lethe")
        url = postgres.url("lethe")
        _migrate(url)
        engine = open_engine(url)
        stack.callback(engine.dispose)
        sessions = open_sessions(engine)
        variables = {
            "LETHE_DATABASE_URL": url,
            "LETHE_DATA_DIR": str(folder),
            "LETHE_ADMIN_KEY": "an-admin-key-for-benchmarks",
        }
        api, api_url = stack.enter_context(served(folder, "api", "service.main:application", variables))
        with transaction(sessions) as session:
            registry.register(
                session,
                Registration(MODEL, "workers.numerics.architectures:small_cnn", {}, MODEL, {}, {}, Policy()),
            )
            _, key = access.create_key(session, "serving", [Scope.MODELS_READ])
        setting = Setting(folder, api, api_url, key, engine, sessions, FilesystemStore(folder / "store"))
        setting.publish(num_bytes)
        yield setting


@contextmanager
def served(
    folder: Path, name: str, factory: str, variables: Mapping[str, str]
) -> "Iterator[tuple[Popen[bytes], str]]":
    """Run an application in a uvicorn of its own, ready, for the length of a `with` block."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = Program(
        name=name,
        command=(
            *(sys.executable, "-m", "uvicorn", factory, "--factory"),
            *("--host", "127.0.0.1", "--port", str(port), *OPTIONS),
        ),
        log=folder / f"{name}.log",
        environment={**variables, "PYTHONPATH": os.pathsep.join([str(CODE_ROOT), *sys.path[1:]])},
        is_ready=lambda pid: answers(f"{url}/livez"),
        stop_timeout_seconds=5.0,
    )
    with running(program) as process:
        yield process, url


def answers(url: str) -> bool:
    """Whether anything answers there."""
    try:
        httpx.get(url, timeout=1.0, trust_env=False)
    except httpx.TransportError:
        return False
    return True


def resident_bytes(pid: int) -> int:
    """Return a process's memory that is its own, without shared files: what it would cost once more."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [each for each in lines if each.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


def _migrate(url: str) -> None:
    engine = create_engine(url)
    config = Config(CODE_ROOT / "migrations" / "alembic.ini")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()


def _noise(num_bytes: int) -> Iterator[bytes]:
    """Yield bytes that no transport could shrink."""
    while num_bytes > 0:
        chunk = os.urandom(min(num_bytes, MEBIBYTE))
        num_bytes -= len(chunk)
        yield chunk
