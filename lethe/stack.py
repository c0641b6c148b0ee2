"""What `lethe up` starts: two servers, one migration, relay, workers and API.

They are told of each other by `LETHE_` variables alone. A server that the operator runs himself
(`LETHE_DATABASE_URL`, `LETHE_BROKER_URL`) is used and not started.
"""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx

import lethe
from lethe.embedded.postgres import EmbeddedPostgres, binary
from lethe.embedded.process import Program, ProgramError, free_port
from lethe.embedded.valkey import EmbeddedValkey
from lethe.home import Home, Running
from lethe.supervisor import StopRequested, Supervisor

CODE_ROOT = Path(lethe.__file__).resolve().parent.parent
DATABASE = "lethe"
READY_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 5.0
GRACEFUL_STOP_SECONDS = 2  # requests in flight are cut off after this
DRAIN_SECONDS = 2  # whoever pressed Ctrl-C waits: what takes longer goes on with the next `lethe up`
PROBE_TIMEOUT_SECONDS = 1.0
WORKER = "worker"
UNTOLD = {"LETHE_ADMIN_KEY", "LETHE_URL", "LETHE_KEY"}  # a secret of its own file, and what clients are told
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not bound


@dataclass(frozen=True)
class Stack:
    """One Lethe on this machine.

    Attributes:
        home: Where it lives.
        host: Address that the API listens on.
        port: TCP port that the API listens on.
        num_workers: How many workers, named `worker`, `worker-2` and so on; they drain side by side.
        processes: Arguments to Python of each process by name, in the order of their start; by default those
            of Lethe. `migrate` runs to its end before the others start; `api` answers at /readyz.
    """

    home: Home
    host: str
    port: int
    num_workers: int = 1
    processes: Mapping[str, tuple[str, ...]] | None = None

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the API."""
        address = ANY_ADDRESS.get(self.host, self.host)
        return f"http://[{address}]:{self.port}" if ":" in address else f"http://{address}:{self.port}"

    def programs(self, environment: Mapping[str, str]) -> dict[str, Program]:
        """Return the processes as programs by name."""
        return {
            name: Program(
                name=name,
                command=(sys.executable, *arguments),
                log=self.home.log_path(name),
                kind=WORKER if name.startswith(WORKER) else "",
                environment=environment,
                is_ready=self._is_api_ready if name == "api" else lambda pid: True,
                ready_timeout_seconds=READY_TIMEOUT_SECONDS,
                stop_timeout_seconds=STOP_TIMEOUT_SECONDS + float(environment.get("LETHE_DRAIN_SECONDS", 0)),
            )
            for name, arguments in (self.processes or self._processes()).items()
        }

    def _processes(self) -> dict[str, tuple[str, ...]]:
        migrations = str(CODE_ROOT / "migrations" / "alembic.ini")
        patience = ("--timeout-graceful-shutdown", str(GRACEFUL_STOP_SECONDS))
        listen = ("--host", self.host, "--port", str(self.port), "--no-access-log", *patience)
        workers = (WORKER, *(f"{WORKER}-{number}" for number in range(2, self.num_workers + 1)))
        return {
            "migrate": ("-m", "alembic", "-c", migrations, "upgrade", "head"),
            "relay": ("-m", "workers.relay"),
            **dict.fromkeys(workers, ("-m", "workers")),
            "api": ("-m", "uvicorn", "service.main:application", "--factory", *listen),
        }

    def _is_api_ready(self, pid: int) -> bool:
        try:
            answer = httpx.get(f"{self.url}/readyz", timeout=PROBE_TIMEOUT_SECONDS, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.is_success


def up(stack: Stack, report: Callable[[str], None]) -> None:
    """Run Lethe until SIGTERM or SIGINT; returns when everything has stopped.

    Args:
        stack: What to run.
        report: Told in one line what happened.

    Raises:
        HomeBusy: Another `lethe up` owns the home.
        ProgramError: The port is taken, or a process could not be kept alive.
    """
    home = stack.home
    home.create()
    with home.lock(), Supervisor(report=report) as supervisor:
        home.running_path.unlink(missing_ok=True)
        try:
            _require_free(stack.host, stack.port)
            environment = _environment(stack, supervisor)
            programs = stack.programs(environment)
            supervisor.run_once(programs.pop("migrate"))
            supervisor.start(*programs.values())
            supervisor.on_change = partial(_tell, stack, supervisor, environment, datetime.now(UTC))
            supervisor.on_change()
            report(f"Lethe is up at {stack.url}")
            supervisor.watch()
        except StopRequested:
            report("stopping")
        finally:
            home.running_path.unlink(missing_ok=True)


def _environment(stack: Stack, supervisor: Supervisor) -> dict[str, str]:
    """Start the servers that the operator does not run himself, and return what every process must know."""
    given, home = os.environ, stack.home
    search_path = [str(CODE_ROOT), *filter(None, [given.get("PYTHONPATH")])]
    return {
        "LETHE_DATABASE_URL": given.get("LETHE_DATABASE_URL") or _start_postgres(home, supervisor),
        "LETHE_BROKER_URL": given.get("LETHE_BROKER_URL") or _start_valkey(home, supervisor),
        "LETHE_DATA_DIR": str(home.root),
        "LETHE_ADMIN_KEY": given.get("LETHE_ADMIN_KEY") or home.admin_key(),
        "LETHE_DRAIN_SECONDS": given.get("LETHE_DRAIN_SECONDS") or str(DRAIN_SECONDS),
        "OMP_NUM_THREADS": given.get("OMP_NUM_THREADS") or str(max(1, _num_cores() // stack.num_workers)),
        "PYTHONPATH": os.pathsep.join(search_path),
        "PYTHONSAFEPATH": "1",  # a folder `service` where the operator happens to stand is not ours
        "PYTHONUNBUFFERED": "1",
    }


def _num_cores() -> int:
    """Return how many cores this process may use, which in a container is fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _start_postgres(home: Home, supervisor: Supervisor) -> str:
    postgres = EmbeddedPostgres(home.postgres, home.log_path("postgres"))
    supervisor.start(postgres.program())
    postgres.ensure_database(DATABASE)
    return postgres.url(DATABASE)


def _start_valkey(home: Home, supervisor: Supervisor) -> str:
    valkey = EmbeddedValkey(home.valkey, home.log_path("valkey"), free_port())
    supervisor.start(valkey.program())
    return valkey.url()


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ProgramError(
                f"The API cannot listen on {host}:{port} ({error.strerror}). Choose another with --port."
            ) from error


def _tell(stack: Stack, supervisor: Supervisor, environment: Mapping[str, str], started_at: datetime) -> None:
    home = stack.home
    told = {**os.environ, **environment}.items()
    home.write_running(
        Running(
            url=stack.url,
            pid=os.getpid(),
            admin_key_path=str(home.admin_key_path),
            data_dir=str(home.root),
            started_at=started_at.isoformat(timespec="seconds"),
            processes=supervisor.pids,
            variables={
                name: value for name, value in told if name.startswith("LETHE_") and name not in UNTOLD
            },
            programs=str(binary("psql").parent) if "postgres" in supervisor.pids else None,
        )
    )
