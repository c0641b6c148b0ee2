"""The whole line with a recorded training: forgotten by subtraction; its log dies with those it holds."""

import hashlib
from pathlib import Path

import numpy as np

from lethe.client.records import samples_target
from service.core.db.session import transaction
from service.core.ledger import entries
from service.core.ledger.models import LedgerEntry
from tests.fixtures.stack import Stack
from workers.numerics import architectures
from workers.numerics.datasets.digits import open_digits
from workers.numerics.params import write_file
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train
from workers.preparation.update_log.record_keys import Keys
from workers.preparation.update_log.recorder import Recorder
from workers.preparation.update_log.recording import Recording

FACTORY, ARGUMENTS = "workers.numerics.architectures:mlp", {"in_features": 64, "hidden": 64}
RECIPE = TrainingRecipe(epochs=5, learning_rate=0.05)


def receipts(stack: Stack) -> list[object]:
    """What purges have said of update logs."""
    with transaction(stack.sessions) as session:
        told = [entries.parse(row.entry) for row in session.query(LedgerEntry).order_by(LedgerEntry.id)]
    return [one.body["update_log"] for one in told if "update_log" in one.body]


def test_a_recorded_training_is_forgotten_by_subtraction_and_its_log_dies(
    stack: Stack, tmp_path: Path
) -> None:
    source, weights = open_digits(), tmp_path / "model.safetensors"
    recorder = Recorder(tmp_path / "log", Recording(fraction=0.5))
    build = lambda: architectures.build(FACTORY, ARGUMENTS)  # noqa: E731 - two words
    write_file(weights, train(build, source, RECIPE, recorder=recorder).params)
    log = stack.folder / "records" / hashlib.sha256(weights.read_bytes()).hexdigest()
    log.parent.mkdir()
    (tmp_path / "log").rename(log)
    stack.register(
        {
            "name": "recorded",
            "architecture": {"factory": FACTORY, "arguments": ARGUMENTS},
            "dataset": {"source": "digits"},
            "training": RECIPE.to_json(),
            "policy": {
                "exact_budget_seconds": 0,
                "samples_ladder": ["amnesiac_samples"],
                "exact_at_last": False,
                "accept_inconclusive": True,  # there is no reference bank to clear it
                "study_seconds": 0,
            },
        },
        weights,
    )
    rows = source.manifest.positions("train")[:12]
    ids = [str(one) for one in source.manifest.sample_ids[rows]]

    first = stack.settled(
        stack.client.forget("recorded", samples_target(ids[:10]), method="amnesiac_samples")
    )
    stack.until(lambda: receipts(stack), bool)
    is_gone = Keys(log).is_destroyed(np.arange(len(rows)))
    second = stack.settled(stack.client.forget("recorded", samples_target(ids[10:]), method="retrain"))
    stack.until(lambda: receipts(stack), lambda told: len(told) == 2)

    assert (first.status, second.status) == ("completed", "completed")
    assert first.run is not None and first.run["method"] == "amnesiac_samples"
    assert is_gone.tolist() == [True] * 10 + [False] * 2
    assert receipts(stack) == [{"is_void": False, "keys_destroyed": 10}, {"is_void": True}]
    assert [file.name for file in log.iterdir()] == ["log.json"]
