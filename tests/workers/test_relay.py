"""The relay's sweep: it rings while anything is ready, and no more than wakes every worker there is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from service.core.db.session import Sessions, transaction
from service.core.ledger.signing import Signer
from service.core.queue import repository as queue
from service.core.queue.models import JobKind
from tests.fixtures.registry import MakeReady
from workers.app import Bell
from workers.relay import ENOUGH_BELLS, Relay
from workers.settings import WorkerSettings

NUM_MODELS = 3


@dataclass
class FakeBell:
    """A bell that keeps what was rung.

    Attributes:
        unheard: Bells that no worker has heard yet.
        rung: Ids of the jobs it was rung for.
    """

    unheard: int
    rung: list[str] = field(default_factory=list)

    def ring(self, job_id: str) -> bool:
        """Ring."""
        self.rung.append(job_id)
        return True

    def num_unheard(self) -> int:
        """Return how many bells wait."""
        return self.unheard


@pytest.mark.parametrize(("unheard", "num_rung"), [(0, NUM_MODELS), (ENOUGH_BELLS - 1, 1), (ENOUGH_BELLS, 0)])
def test_the_sweep_rings_no_more_than_wakes_every_worker(
    sessions: Sessions, make_ready: MakeReady, signer: Signer, tmp_path: Path, unheard: int, num_rung: int
) -> None:
    for number in range(NUM_MODELS):
        with transaction(sessions) as session:
            queue.enqueue(session, make_ready(f"model-{number}").id, JobKind.UNLEARN)
    settings = WorkerSettings(database_url="unused", data_dir=tmp_path, broker_url="unused")
    bell = FakeBell(unheard)

    Relay(settings, sessions, cast(Bell, bell), signer).sweep()

    assert len(bell.rung) == num_rung
