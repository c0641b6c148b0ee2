"""The worker's end of the engine, with a real child: how it ends, and what is told of it."""

import os
import signal
from collections.abc import Iterator

import pytest

from service.core import errors
from tests.fixtures.processes import are_gone
from workers.engine import deadline, messages
from workers.engine.client import AlwaysOn, Engine, ignore_progress
from workers.engine.errors import EngineDied, EngineTooSlow

PATIENCE_SECONDS = 120.0
A_MEGABYTE = 2**20


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine whose child is ended with the test."""
    monkeypatch.setenv("LETHE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("LETHE_BROKER_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("LETHE_DATA_DIR", "/nonexistent")
    engine = Engine(PATIENCE_SECONDS)
    yield engine
    engine.stop()


class Deed:
    """A pulse that does something to the child at its first beat."""

    def __init__(self, engine: Engine, number: int) -> None:
        self._engine = engine
        self._number = number
        self.pid: int | None = None

    def check(self) -> None:
        """Strike once."""
        if self.pid is None:
            self.pid = self._engine.pid
            assert self.pid is not None
            os.kill(self.pid, self._number)


class Revoked:
    """A pulse of a lease that is lost."""

    def check(self) -> None:
        """Say so."""
        raise errors.LeaseLost("The lease was revoked.")


def ask(engine: Engine, pulse: object) -> None:
    engine.call(messages.Catalogue(), messages.CatalogueReply, pulse, ignore_progress)  # type: ignore[arg-type]


def test_a_child_that_was_killed_tells_the_signal_and_its_memory(engine: Engine) -> None:
    with pytest.raises(EngineDied, match="SIGKILL") as death:
        ask(engine, Deed(engine, signal.SIGKILL))

    assert death.value.is_retryable and death.value.is_suspicious
    assert (death.value.facts["exit_status"], death.value.facts["signal"]) == (-9, "SIGKILL")
    memory = death.value.facts["peak_memory_bytes"]
    assert isinstance(memory, int) and memory > A_MEGABYTE
    assert engine.pid is None


def test_a_child_that_hangs_is_killed_at_the_deadline_and_its_end_is_no_evidence(engine: Engine) -> None:
    engine.deadline_seconds = 0.5
    pulse = Deed(engine, signal.SIGSTOP)

    with pytest.raises(EngineTooSlow, match=r"over 0\.5 s.*LETHE_DEADLINE_SECONDS") as end:
        ask(engine, pulse)

    assert pulse.pid is not None and are_gone([pulse.pid], 5.0)
    assert "signal" not in end.value.facts and end.value.facts["peak_memory_bytes"]


def test_a_revoked_lease_kills_the_child(engine: Engine) -> None:
    with pytest.raises(errors.LeaseLost):
        ask(engine, Revoked())

    assert engine.pid is None


def test_after_a_death_the_next_call_has_a_child_of_its_own(engine: Engine) -> None:
    with pytest.raises(EngineDied):
        ask(engine, Deed(engine, signal.SIGKILL))

    ask(engine, AlwaysOn())

    assert engine.pid is not None


@pytest.mark.parametrize(
    ("training_seconds", "longest_seconds", "expected"),
    [
        (None, 86_400.0, 86_400.0),
        (2.0, 86_400.0, deadline.FLOOR_SECONDS),
        (600.0, 86_400.0, 12_000.0),
        (36_000.0, 86_400.0, 86_400.0),
        (2.0, 60.0, 60.0),
    ],
)
def test_the_deadline_follows_the_training_between_a_floor_and_the_setting(
    training_seconds: float | None, longest_seconds: float, expected: float
) -> None:
    assert deadline.seconds_for(training_seconds, longest_seconds) == expected
