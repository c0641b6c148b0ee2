"""Dooms: the appointments at which a process dies, and the record of those that were kept.

A *step* is a named place in a worker's way through a job. A doom is a file named for a step; the first
process that reaches the step takes it, by renaming, so that a doom strikes once. What struck is one line in a
log.

    claimed      a job is leased, nothing is done
    loaded       the engine has begun to compute
    unlearned    a candidate is computed, nobody knows of it
    audited      its report is there, the verdict is not written
    staged       all files of the new version are stored, none is published
    publishing   the transaction that publishes is written and not committed
    published    it is committed, the worker has not gone on
    acknowledged the job is closed
    preparing, refreshing, purging   the same for the other jobs, before their last commit
"""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

STEPS = (
    "claimed",
    "loaded",
    "unlearned",
    "audited",
    "staged",
    "publishing",
    "published",
    "acknowledged",
    "preparing",
    "refreshing",
    "purging",
)
DEED = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP}


@dataclass(frozen=True)
class Struck:
    """A doom that was kept: who, where, how, when (seconds since the epoch)."""

    step: str
    deed: str
    pid: int
    at: float


@dataclass(frozen=True)
class Dooms:
    """A folder of appointments.

    Attributes:
        folder: made by `create`.
    """

    folder: Path

    @property
    def log(self) -> Path:
        """One line of JSON for each doom that struck."""
        return self.folder / "struck.jsonl"

    def create(self) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def appoint(self, step: str, deed: str = "kill") -> None:
        """Doom the next process that reaches a step."""
        (self.folder / f"doom.{step}.{deed}").touch()

    def cancel(self) -> None:
        """Take back what has not struck."""
        for doom in self.folder.glob("doom.*"):
            doom.unlink(missing_ok=True)

    def pending(self) -> int:
        """Return how many have not struck."""
        return len([*self.folder.glob("doom.*")])

    def struck(self) -> list[Struck]:
        """Return what struck, in order; a line that is being written is left for the next look."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines(keepends=True)
        return [Struck(**json.loads(line)) for line in lines if line.endswith("\n")]

    def reach(self, step: str) -> None:
        """Come to a step; if it is doomed, this process does not come further."""
        for deed, number in DEED.items():
            try:
                (self.folder / f"doom.{step}.{deed}").rename(self.folder / f"taken.{os.getpid()}")
            except FileNotFoundError:
                continue
            struck = {"step": step, "deed": deed, "pid": os.getpid(), "at": time.time()}
            with self.log.open("a") as log:
                log.write(json.dumps(struck) + "\n")
                log.flush()
                os.fsync(log.fileno())
            os.kill(os.getpid(), number)
