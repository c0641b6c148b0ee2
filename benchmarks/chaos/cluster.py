"""A whole Lethe that is made to suffer: servers of its own, several workers, relays and an API, all revived.

Whatever dies is started again at once, as any supervisor would; what is stopped on purpose stays down until
it is started by the same name. Everything listens on loopback or a socket and dies with this process.
"""

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import httpx
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

import lethe
from benchmarks.chaos.nursery import Forked, Nursery
from lethe.client import LetheClient
from lethe.embedded.postgres import EmbeddedPostgres
from lethe.embedded.process import Program, free_port, launch, stop, wait_ready
from lethe.embedded.valkey import EmbeddedValkey

ADMIN_KEY = "an-admin-key-for-the-campaign"
CODE_ROOT = Path(lethe.__file__).resolve().parent.parent
REVIVE_SECONDS = 0.1


@dataclass
class Cluster:
    """One suffering Lethe.

    Attributes:
        folder: Everything of it lies here.
        lease_seconds: Lease of every job.
        num_workers: Worker processes.
        num_relays: Relay processes.
        skews: Seconds by which the clock of a worker is wrong, by its number.
        is_cold: Whether each worker is started anew, as a supervisor would, not forked from a nursery.
    """

    folder: Path
    lease_seconds: float
    num_workers: int
    num_relays: int = 2
    skews: Mapping[int, float] = field(default_factory=dict)
    is_cold: bool = False

    def __post_init__(self) -> None:
        """Choose ports; nothing runs yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.postgres = EmbeddedPostgres(self.folder / "postgres", self.folder / "postgres.log", free_port())
        self.valkey = EmbeddedValkey(self.folder / "valkey", self.folder / "valkey.log", free_port())
        self.url = f"http://127.0.0.1:{free_port()}"
        self.client = LetheClient(self.url, ADMIN_KEY)
        self.dooms_folder = self.folder / "dooms"
        self._nursery = Nursery(self.folder / "nursery.sock")
        self._running: dict[str, tuple[Program, Popen[bytes] | Forked]] = {}
        self._lock = threading.RLock()
        self._closed = threading.Event()

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.postgres.url("lethe")

    @property
    def workers(self) -> list[str]:
        """Names of the workers."""
        return [f"worker-{number}" for number in range(self.num_workers)]

    @property
    def relays(self) -> list[str]:
        """Names of the relays."""
        return [f"relay-{number}" for number in range(self.num_relays)]

    def start(self, *names: str) -> None:
        """Start programs by name and wait until they are ready."""
        for name in names:
            with self._lock:
                program = self._program(name)
                process = self._launch(program)
                self._running[name] = (program, process)
            wait_ready(program, process)

    def open(self) -> None:
        """Start everything."""
        self.start("postgres", "valkey")
        self.postgres.ensure_database("lethe")
        engine = create_engine(self.database_url)
        config = Config(CODE_ROOT / "migrations" / "alembic.ini")
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        engine.dispose()
        if not self.is_cold:
            self.start("nursery")
        self.start("api", *self.relays, *self.workers)
        threading.Thread(target=self._revive, daemon=True).start()

    def stop(self, name: str) -> None:
        """Stop a program in good order; it is not revived."""
        with self._lock:
            stop(*self._running.pop(name))

    def kill(self, name: str) -> None:
        """SIGKILL a program; it is revived."""
        with self._lock:
            self._running[name][1].kill()

    def pid(self, name: str) -> int:
        """Return a program's process id."""
        with self._lock:
            return self._running[name][1].pid

    def children(self, name: str) -> list[int]:
        """Return the processes that a program started, its engine among them."""
        pid = self.pid(name)
        try:
            return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []

    def close(self) -> None:
        """Stop everything, the servers last."""
        self._closed.set()
        self.client.close()
        with self._lock:
            for name in reversed([*self._running]):
                stop(*self._running.pop(name))

    def orphans(self) -> list[int]:
        """Return processes that belong to this Lethe by their environment, beside those it still runs."""
        with self._lock:
            known = {process.pid for _, process in self._running.values()}
        mark = f"LETHE_DATA_DIR={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in known:
                continue
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def _program(self, name: str) -> Program:
        if name == "postgres":
            return self.postgres.program()
        if name == "valkey":
            return self.valkey.program()
        kind, _, number = name.partition("-")
        port = self.url.rsplit(":", 1)[1]
        arguments = {
            "api": (
                "-m",
                "uvicorn",
                "service.main:application",
                "--factory",
                "--port",
                port,
                "--no-access-log",
            ),
            "relay": ("-m", "workers.relay"),
            "worker": ("-m", "benchmarks.chaos.doomed"),
            "nursery": ("-m", "benchmarks.chaos.nursery", str(self.folder / "nursery.sock")),
        }[kind]
        skew = self.skews.get(int(number or 0), 0.0) if kind == "worker" else 0.0
        return Program(
            name=name,
            command=(sys.executable, *arguments),
            log=self.folder / f"{name}.log",
            environment={**self._variables(), "LETHE_CHAOS_SKEW": str(skew)},
            is_ready={"api": self._answers, "nursery": self._nursery.answers}.get(kind, lambda pid: True),
            ready_timeout_seconds=120.0,
        )

    def _launch(self, program: Program) -> Popen[bytes] | Forked:
        if program.name in self.workers and not self.is_cold:
            return self._nursery.fork(program.log, program.environment)
        return launch(program)

    def _variables(self) -> dict[str, str]:
        return {
            "LETHE_DATABASE_URL": self.database_url,
            "LETHE_BROKER_URL": self.valkey.url(),
            "LETHE_DATA_DIR": str(self.folder),
            "LETHE_ADMIN_KEY": ADMIN_KEY,
            "LETHE_LEASE_SECONDS": str(self.lease_seconds),
            "LETHE_MAX_ATTEMPTS": "1000000",
            "LETHE_LOG_FORMAT": "text",
            "LETHE_CHAOS_DIR": str(self.dooms_folder),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(CODE_ROOT), os.environ.get("PYTHONPATH", "")]),
        }

    def _answers(self, pid: int) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _revive(self) -> None:
        """Start again what died, until the cluster is closed."""
        while not self._closed.wait(REVIVE_SECONDS):
            with self._lock:
                for name, (program, process) in [*self._running.items()]:
                    if process.poll() is not None and not self._closed.is_set():
                        program.tidy()
                        self._running[name] = (program, self._launch(program))
