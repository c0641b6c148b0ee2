"""The home folder: where a Lethe on this machine keeps its servers' data, artefacts, keys and logs.

One `lethe up` at a time owns a home, by a lock that the kernel drops when its holder dies. What is running
there, others read from `lethe.json`.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lethe.private import kept_secret, make_folder, write_private
from service.core.ledger.keys import load_or_create_pseudonym_key, load_or_create_signing_key

DEFAULT_HOME = Path(".lethe")


class HomeBusy(Exception):
    """Another `lethe up` owns the home folder."""


@dataclass(frozen=True)
class Running:
    """What `lethe.json` tells of the Lethe that owns the home.

    Attributes:
        url: Where its API answers.
        pid: Process id of `lethe up`.
        admin_key_path: File with the key that may do everything.
        data_dir: The home itself.
        started_at: UTC, RFC 3339.
        processes: Process id of each child by name; restarts are followed.
        variables: The `LETHE_` variables of its processes, but for the admin key, for another to join.
        programs: Folder of the database's programs, psql among them; None where the database is elsewhere.
    """

    url: str
    pid: int
    admin_key_path: str
    data_dir: str
    started_at: str
    processes: Mapping[str, int] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    programs: str | None = None


@dataclass(frozen=True)
class Home:
    """Names of everything in a home folder.

    Attributes:
        root: The folder, as an absolute path.
    """

    root: Path

    @property
    def postgres(self) -> Path:
        """Folder of the embedded PostgreSQL."""
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        """Folder of the embedded Valkey."""
        return self.root / "valkey"

    @property
    def store(self) -> Path:
        """Folder of the artefacts."""
        return self.root / "store"

    @property
    def keys(self) -> Path:
        """Folder of the keys."""
        return self.root / "keys"

    @property
    def admin_key_path(self) -> Path:
        """File of the API key that may do everything."""
        return self.keys / "admin.key"

    @property
    def running_path(self) -> Path:
        """File that tells what is running here."""
        return self.root / "lethe.json"

    def log_path(self, name: str) -> Path:
        """File that a child process writes to."""
        return self.root / "logs" / f"{name}.log"

    def create(self) -> None:
        """Make the folders and keys that are missing; what exists is left as it is."""
        for folder in (self.root, self.store, self.keys, self.log_path("any").parent):
            make_folder(folder)
        load_or_create_pseudonym_key(self.keys / "pseudonym.key")
        load_or_create_signing_key(self.keys / "ledger.key")
        kept_secret(self.admin_key_path, _new_api_key)

    def admin_key(self) -> str:
        """Return the admin key of a home that was created."""
        return self.admin_key_path.read_text(encoding="utf-8").strip()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Own the home for the length of a `with` block.

        Raises:
            HomeBusy: Someone else does; the message has their process id.
        """
        with (self.root / "lethe.lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise HomeBusy(
                    f"Lethe is up in {self.root} already (pid {holder}). Use that one, stop it by "
                    f"`kill {holder}`, or choose another folder with --home."
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def write_running(self, running: Running) -> None:
        """Replace `lethe.json` in one step."""
        write_private(self.running_path, json.dumps(asdict(running), indent=2) + "\n")

    def read_running(self) -> Running | None:
        """Return what `lethe.json` tells, or None where nothing was started or it stopped in good order."""
        try:
            return Running(**json.loads(self.running_path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None


def _new_api_key() -> str:
    return f"lethe_{secrets.token_urlsafe(32)}"
