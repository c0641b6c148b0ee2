"""A Lethe over three hosts that are network namespaces: a worker's cable is pulled in mid-run, and put back.

    python -m benchmarks.netns [--strict]

The first namespace has PostgreSQL, Valkey, the API and the relay; two others have a worker each; a bridge
joins them, and files lie in one folder, as on shared storage. A request is posted; as soon as a worker has
claimed its run, that worker's link is taken down, and stays so until the other worker has done the run; then
it is put up again, and more requests follow. Told are who ended the run, after how many lease times another
worker had it, what the cut-off worker said, and what the checker of the fault campaign finds.

Recovery is counted from the cut to the other worker's claim: that worker is idle, nothing else is waited for.

It needs Linux, root and `ip` (apt-get install --no-install-recommends iproute2); where namespaces are refused
it says so and ends with 0. It takes about a minute and removes what it made.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import Popen
from typing import TypeVar

import httpx
from sqlalchemy import Engine, create_engine, text

from benchmarks.chaos import checker
from benchmarks.chaos.campaign import NOT_AT_REST
from benchmarks.chaos.traffic import ARGUMENTS, FACTORY, POLICY, sample_ids
from benchmarks.scale.calls import migrate
from lethe.client import LetheClient
from lethe.client.records import samples_target
from lethe.embedded.postgres import EmbeddedPostgres
from lethe.embedded.process import Program, launch, stop, wait_ready
from lethe.embedded.valkey import EmbeddedValkey
from workers.numerics import architectures
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import write_file
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

OURS = f"lethe{os.getpid()}"
"""Begins every name, so that two runs remove their own alone; a link's name has 15 letters at most."""
BRIDGE, CABLE, PREFIX, NET = f"{OURS}b", f"{OURS}v", f"{OURS}-", f"10.213.{os.getpid() % 250}"
HOSTS = ("front", "worker-0", "worker-1")
LEASE_SECONDS = 3.0
OF_A_CUT = ("heartbeat.failed", "job.lease_lost", "job.not_settled")
"""What a worker logs that hears nothing: whether it finds out between two writes or in one, is chance."""
ADMIN_KEY = "an-admin-key-between-hosts"
POSTGRES_PORT, VALKEY_PORT, API_PORT = 55432, 56379, 58080
PATIENCE_SECONDS = 180.0
SLOW_RECIPE = TrainingRecipe(steps=600, batch_size=32, learning_rate=0.1)
"""Long enough for a cable to be pulled in the middle."""


T = TypeVar("T")


class Refused(Exception):
    """Network namespaces cannot be made here."""


@dataclass
class Hosts:
    """The namespaces and what runs in them.

    Attributes:
        folder: The shared storage.
        running: Programs by name.
    """

    folder: Path
    running: dict[str, tuple[Program, Popen[bytes]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Say what every process is told, but for the addresses of the servers."""
        self.variables = {
            "LETHE_DATA_DIR": str(self.folder),
            "LETHE_ADMIN_KEY": ADMIN_KEY,
            "LETHE_LEASE_SECONDS": str(LEASE_SECONDS),
            "LETHE_LOG_FORMAT": "text",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.environ.get("PYTHONPATH") or str(Path.cwd()),
        }

    def start(self, host: str, name: str, command: Sequence[str]) -> None:
        """Start a program on a host."""
        self._launch(
            Program(
                name=name,
                command=("ip", "netns", "exec", PREFIX + host, *command),
                log=self.folder / f"{name}.log",
                environment={**self.variables},
            )
        )

    def start_server(self, program: Program, *more: str) -> None:
        """Start one of the servers on the first host, with further arguments."""
        command = ("ip", "netns", "exec", PREFIX + HOSTS[0], *program.command, *more)
        self._launch(replace(program, command=command))

    def pid(self, name: str) -> int:
        """Return the process of a program: `ip` becomes it."""
        return self.running[name][1].pid

    def log(self, name: str) -> str:
        """Return what a program has said."""
        return (self.folder / f"{name}.log").read_text()

    def close(self) -> None:
        """Stop everything, last started first."""
        for name in reversed([*self.running]):
            stop(*self.running.pop(name))

    def _launch(self, program: Program) -> None:
        self.running[program.name] = (program, launch(program))
        wait_ready(*self.running[program.name])


def main() -> None:
    """Run, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help="changes nothing: it is small")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was made is removed all the same
    try:
        with namespaces(), tempfile.TemporaryDirectory() as folder:
            is_met = pull(Path(folder))
    except Refused as refused:
        print(f"netns: nothing was run: {refused}")
        return
    if asked.strict and not is_met:
        sys.exit(1)


@contextlib.contextmanager
def namespaces() -> Iterator[None]:
    """Make three namespaces joined by a bridge, for the length of a `with` block.

    Raises:
        Refused: They cannot be made here.
    """
    with contextlib.ExitStack() as undone:
        try:
            for number, host in enumerate(HOSTS):
                name, cable = PREFIX + host, f"{CABLE}{number}"
                _ip("netns", "add", name)
                undone.callback(_ip, "netns", "del", name, is_checked=False)
                _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
                undone.callback(_ip, "link", "del", cable, is_checked=False)
                _ip("-n", name, "addr", "add", f"{NET}.{number + 1}/24", "dev", "eth0")
                _ip("-n", name, "link", "set", "eth0", "up")
                _ip("-n", name, "link", "set", "lo", "up")
            _ip("link", "add", BRIDGE, "type", "bridge")
            undone.callback(_ip, "link", "del", BRIDGE, is_checked=False)
            for number in range(len(HOSTS)):
                _ip("link", "set", f"{CABLE}{number}", "master", BRIDGE, "up")
            _ip("addr", "add", f"{NET}.254/24", "dev", BRIDGE)
            _ip("link", "set", BRIDGE, "up")
        except (OSError, subprocess.CalledProcessError) as error:
            told = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
            raise Refused(f"network namespaces are refused or `ip` is not installed ({told})") from error
        yield


def pull(folder: Path) -> bool:
    """Start a Lethe over the hosts, pull a cable, put it back, and return whether every goal was met."""
    hosts = Hosts(folder)
    try:
        engine = _front(hosts)
        client = LetheClient(f"http://{NET}.1:{API_PORT}", ADMIN_KEY)
        for worker in HOSTS[1:]:
            hosts.start(worker, worker, (sys.executable, "-m", "workers"))
        models = _register(client, folder)
        _await(lambda: _num_left(engine) == 0, "the models were not prepared")
        ids, promises = iter(sample_ids()), list[checker.Promise]()

        def post(model: str) -> None:
            request = client.forget(model, samples_target([next(ids)]))
            promises.append(checker.Promise(request.id, model, len(promises)))

        post(models[0])
        holder = _await(lambda: _holder(engine, hosts), "nobody took the request")
        cut, other = holder.worker, next(worker for worker in HOSTS[1:] if worker != holder.worker)
        cable = f"{CABLE}{HOSTS.index(cut)}"
        _ip("link", "set", cable, "down")
        pulled_at = time.monotonic()
        _await(lambda: _holder(engine, hosts) != holder, "the lease was not taken away")
        lost_after = time.monotonic() - pulled_at
        _await(lambda: _owner(engine, hosts, holder.job).worker == other, "nobody else took the job")
        taken_after = time.monotonic() - pulled_at
        _await(lambda: _is_completed(client, promises[0]), "the other worker did not complete the request")
        completed_after = time.monotonic() - pulled_at
        ended = _owner(engine, hosts, holder.job)
        _ip("link", "set", cable, "up")
        out_for = time.monotonic() - pulled_at
        for model in models:
            post(model)
        _await(lambda: _num_left(engine) == 0, "something was left to do")
        found = checker.findings(engine, folder / "store", promises)
        print(f"{len(promises)} requests over two models and two workers, lease {LEASE_SECONDS:g} s")
        print(f"the cable of {cut} was out for {out_for:.1f} s, in the middle of its run")
        print(f"its job was taken away after {lost_after:.1f} s; {other} had it after {taken_after:.1f} s")
        print(f"the request was completed after {completed_after:.1f} s")
        print(f"{cut} held the job at epoch {holder.epoch}; {ended.worker} ended it at epoch {ended.epoch}")
        said = ", ".join(f"{event} {hosts.log(cut).count(event)} times" for event in OF_A_CUT)
        print(f"{cut} said {said}")
        print("\n".join(["the checker found:", *(found or ["nothing"]), ""]))
        is_met = _tell(taken_after / LEASE_SECONDS, ended.worker == other, len(found))
        client.close()
        engine.dispose()
        return is_met
    finally:
        hosts.close()


def _front(hosts: Hosts) -> Engine:
    """Start everything that is no worker on the first host, and return an engine on its database."""
    address = f"{NET}.1"
    postgres = EmbeddedPostgres(hosts.folder / "postgres", hosts.folder / "postgres.log", POSTGRES_PORT)
    valkey = EmbeddedValkey(hosts.folder / "valkey", hosts.folder / "valkey.log", VALKEY_PORT)
    server = postgres.program()

    def prepare() -> None:
        server.prepare()
        with (postgres.data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {NET}.0/24 scram-sha-256\n")

    hosts.start_server(replace(server, prepare=prepare), "-c", f"listen_addresses=127.0.0.1,{address}")
    postgres.ensure_database("lethe")
    # Whether it answers cannot be asked from here; who needs it tries again.
    hosts.start_server(replace(valkey.program(), is_ready=lambda pid: True), "--bind", address, "127.0.0.1")
    database_url = postgres.url("lethe").replace("127.0.0.1", address)
    hosts.variables |= {
        "LETHE_DATABASE_URL": database_url,
        "LETHE_BROKER_URL": valkey.url().replace("127.0.0.1", address),
    }
    migrate(database_url)
    listen = ("--host", address, "--port", str(API_PORT), "--no-access-log")
    hosts.start(
        HOSTS[0], "api", (sys.executable, "-m", "uvicorn", "service.main:application", "--factory", *listen)
    )
    hosts.start(HOSTS[0], "relay", (sys.executable, "-m", "workers.relay"))
    _await(lambda: _answers(f"http://{address}:{API_PORT}/readyz"), "the API did not answer")
    return create_engine(database_url, pool_pre_ping=True)


def _register(client: LetheClient, folder: Path) -> list[str]:
    """Register one tiny network under two names, with a recipe that takes a while."""
    source = open_source({"source": "digits"})
    weights = folder / "weights.safetensors"
    quick = TrainingRecipe(steps=30, batch_size=32, learning_rate=0.1)
    write_file(weights, train(lambda: architectures.build(FACTORY, ARGUMENTS), source, quick).params)
    for name in (names := ["model-0", "model-1"]):
        client.register_model(
            {
                "name": name,
                "architecture": {"factory": FACTORY, "arguments": ARGUMENTS},
                "dataset": {"source": "digits"},
                "training": SLOW_RECIPE.to_json(),
                "policy": {**POLICY, "study_seconds": 0},
            }
        )
        client.upload_weights(name, weights)
    return names


def _tell(recovery: float, is_other: bool, num_findings: int) -> bool:
    """Print the figures, and return whether every goal was met."""
    figures = (
        ("recovery", recovery, "lease", "<=", 2.0),
        ("ended_by_the_other", float(is_other), "of 1", ">=", 1.0),
        ("findings", float(num_findings), "findings", "<=", 0.0),
    )
    for name, value, unit, relation, goal in figures:
        shown = f"{value:.2f}"
        goal_text = f"{relation} {goal:g}"
        print(f"figure netns_{name} value={shown} low={shown} high={shown} unit={unit} goal={goal_text}")
    return all(
        value <= goal if relation == "<=" else value >= goal for _, value, _, relation, goal in figures
    )


@dataclass(frozen=True)
class Held:
    """A job, its lease's epoch, and who has it or had it last, as the database knows; "" for nobody."""

    job: str
    epoch: int
    worker: str


def _holder(engine: Engine, hosts: Hosts) -> Held | None:
    """Return the unlearn job that runs, if one does."""
    return _job(engine, hosts, "state = 'running' AND kind = 'unlearn'")


def _owner(engine: Engine, hosts: Hosts, job: str) -> Held:
    """Return who has a job now."""
    found = _job(engine, hosts, "id = CAST(:job AS uuid)", job=job)
    if found is None:
        raise LookupError("the job was expected to stay in the database, and is gone")
    return found


def _job(engine: Engine, hosts: Hosts, which: str, **values: str) -> Held | None:
    by_pid = {str(hosts.pid(worker)): worker for worker in HOSTS[1:]}
    query = f"SELECT id, lease_epoch, owner FROM jobs WHERE {which}"
    with engine.connect() as connection:
        row = connection.execute(text(query), values).one_or_none()
    if row is None:
        return None
    return Held(str(row.id), row.lease_epoch, by_pid.get((row.owner or "").rpartition(":")[2], ""))


def _is_completed(client: LetheClient, promise: checker.Promise) -> bool:
    return client.request(promise.request_id).status == "completed"


def _num_left(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text(NOT_AT_REST)) or 0)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _await(look: Callable[[], T | None], otherwise: str) -> T:
    """Look until what is seen is something, and return it."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()):
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{otherwise} within {PATIENCE_SECONDS:g} s; look at the logs")
        time.sleep(0.05)
    return seen


def _ip(*arguments: str, is_checked: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=is_checked, capture_output=True, text=True)


if __name__ == "__main__":
    main()
