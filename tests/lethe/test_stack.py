"""`lethe up` with stand-ins for migration, relay, worker and API, real servers and real signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lethe.embedded.process import ProgramError, free_port
from lethe.home import Home
from lethe.stack import Stack, up
from tests.fixtures.processes import CODE_ROOT, are_gone, environment, is_alive

API = """
import json, os, sys, http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = {name: value for name, value in os.environ.items() if name.startswith(("LETHE_", "OMP_"))}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
MIGRATE = """
import os, psycopg
with psycopg.connect(os.environ["LETHE_DATABASE_URL"].replace("+psycopg", "")) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS migrated AS SELECT 1 AS number")
"""
SLEEP = ("-c", "import time; time.sleep(60)")
LEAVES_AFTER_TWO_SECONDS = """
import signal, time
def leave(number, frame):
    print("asked", time.monotonic(), flush=True)
    time.sleep(2)
    print("gone", time.monotonic(), flush=True)
    raise SystemExit
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(60)
"""
UP = """
import json, sys
from pathlib import Path
from lethe.home import Home
from lethe.stack import Stack, up
home, port, processes = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
up(Stack(Home(home), "127.0.0.1", port, processes=processes), report=lambda line: print(line, flush=True))
"""


def stand_ins(port: int, migrate: tuple[str, ...] = ("-c", "pass")) -> dict[str, tuple[str, ...]]:
    return {"migrate": migrate, "relay": SLEEP, "worker": SLEEP, "api": ("-c", API, str(port))}


@contextmanager
def lethe_up(
    home: Path, processes: dict[str, tuple[str, ...]], port: int, **more: str
) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-c", UP, str(home), str(port), json.dumps(processes)],
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(home: Home, process: subprocess.Popen) -> dict[str, int]:
    """Process ids by name, as soon as this `up` has told them; what a killed one told does not count."""
    deadline = time.monotonic() + 60.0
    while (running := home.read_running()) is None or running.pid != process.pid:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return dict(running.processes)


def told_by(home: Path, name: str, word: str) -> list[str]:
    """Lines of a process's log that begin with a word."""
    lines = (home / "logs" / f"{name}.log").read_text().splitlines()
    return [line for line in lines if line.startswith(word)]


ELSEWHERE = {
    "LETHE_DATABASE_URL": "postgresql+psycopg://elsewhere/lethe",
    "LETHE_BROKER_URL": "redis://elsewhere",
}


def test_everything_comes_up_and_leaves_in_good_order(tmp_path: Path) -> None:
    home, port = Home(tmp_path), free_port()
    with lethe_up(tmp_path, stand_ins(port, ("-c", MIGRATE)), port) as process:
        pids = wait_for(home, process)
        assert list(pids) == ["postgres", "valkey", "relay", "worker", "api"]

        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    stopped = [line.split()[0] for line in said.splitlines() if "stopped after" in line]
    assert stopped == ["api", "worker", "relay", "valkey", "postgres"]
    assert not any(map(is_alive, pids.values()))
    assert not home.running_path.exists()


def test_killed_up_leaves_nothing_and_the_next_one_comes_up(tmp_path: Path) -> None:
    home, port = Home(tmp_path), free_port()
    with lethe_up(tmp_path, stand_ins(port, ("-c", MIGRATE)), port) as process:
        pids = wait_for(home, process)

    assert are_gone(pids.values(), within_seconds=15.0)
    with lethe_up(tmp_path, stand_ins(port, ("-c", MIGRATE)), port) as process:
        wait_for(home, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_processes_are_told_of_servers_elsewhere_and_none_is_started(tmp_path: Path) -> None:
    home, port = Home(tmp_path), free_port()
    with lethe_up(tmp_path, stand_ins(port), port, **ELSEWHERE, OMP_NUM_THREADS="3") as process:
        pids = wait_for(home, process)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            told = json.loads(connection.makefile().read().split("\n\n")[1])

    assert list(pids) == ["relay", "worker", "api"]
    assert told == {
        **ELSEWHERE,
        "LETHE_DATA_DIR": str(tmp_path),
        "LETHE_ADMIN_KEY": home.admin_key(),
        "LETHE_DRAIN_SECONDS": "2",
        "OMP_NUM_THREADS": "3",
    }


def test_second_up_on_a_home_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    home, port = Home(tmp_path), free_port()
    with lethe_up(tmp_path, stand_ins(port), port, **ELSEWHERE) as first:
        wait_for(home, first)
        with lethe_up(tmp_path, stand_ins(port), port, **ELSEWHERE) as second:
            _, complaint = second.communicate(timeout=30)

        assert second.returncode == 1
        assert f"Lethe is up in {tmp_path} already (pid {first.pid})" in complaint
        assert home.running_path.exists()


def test_killed_worker_is_started_again_under_a_new_pid_in_lethe_json(tmp_path: Path) -> None:
    home, port = Home(tmp_path), free_port()
    with lethe_up(tmp_path, stand_ins(port), port, **ELSEWHERE) as process:
        before = wait_for(home, process)["worker"]

        os.kill(before, signal.SIGKILL)

        deadline = time.monotonic() + 30.0
        while (after := wait_for(home, process).get("worker", before)) == before:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert is_alive(after)


def test_failed_migration_is_told_and_nothing_stays(tmp_path: Path) -> None:
    port = free_port()
    with lethe_up(tmp_path, stand_ins(port, ("-c", "exit('column is gone')")), port, **ELSEWHERE) as process:
        _, complaint = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "migrate failed with status 1" in complaint
    assert "column is gone" in complaint
    assert not Home(tmp_path).running_path.exists()


def test_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ProgramError, match=rf"127.0.0.1:{port} .*--port"):
            up(Stack(Home(tmp_path), "127.0.0.1", port, processes=stand_ins(port)), report=lambda line: None)

    assert not (tmp_path / "postgres").exists()


def test_processes_by_default_are_those_of_lethe(tmp_path: Path) -> None:
    programs = Stack(Home(tmp_path), "127.0.0.1", 8321).programs({})

    assert {name: program.command[1:4] for name, program in programs.items()} == {
        "migrate": ("-m", "alembic", "-c"),
        "relay": ("-m", "workers.relay"),
        "worker": ("-m", "workers"),
        "api": ("-m", "uvicorn", "service.main:application"),
    }
    assert Path(programs["migrate"].command[4]) == CODE_ROOT / "migrations" / "alembic.ini"


def test_further_workers_are_named_by_number_and_share_the_cores(tmp_path: Path) -> None:
    programs = Stack(Home(tmp_path), "127.0.0.1", 8321, num_workers=3).programs({})

    assert [*programs] == ["migrate", "relay", "worker", "worker-2", "worker-3", "api"]
    assert len({program.log for program in programs.values()}) == len(programs)


def test_workers_drain_side_by_side(tmp_path: Path) -> None:
    home, port = Home(tmp_path), free_port()
    workers = dict.fromkeys(["worker", "worker-2", "worker-3"], ("-c", LEAVES_AFTER_TWO_SECONDS))
    others = stand_ins(port)
    processes = {"migrate": others["migrate"], "relay": others["relay"], **workers, "api": others["api"]}
    with lethe_up(tmp_path, processes, port, **ELSEWHERE) as process:
        wait_for(home, process)
        while not all(told_by(tmp_path, name, "ready") for name in workers):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)

    asked, gone = (
        [float(line.split()[1]) for name in workers for line in told_by(tmp_path, name, word)]
        for word in ("asked", "gone")
    )
    assert len(asked) == len(gone) == len(workers)
    assert max(asked) < min(gone), "one was asked only after another had left"
    assert all(f"{name} stopped after" in said for name in workers)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1"), ("10.0.0.5", "http://10.0.0.5:1")],
)
def test_url_is_one_that_a_client_here_can_reach(tmp_path: Path, host: str, url: str) -> None:
    assert Stack(Home(tmp_path), host, 1).url == url
