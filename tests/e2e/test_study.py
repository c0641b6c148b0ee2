"""A model studies itself while nobody asks: references and a promise appear, and no request waits for it."""

from pathlib import Path
from typing import Any

import pytest

from lethe.client.records import samples_target
from service.core.db.session import transaction
from service.core.registry import repository as registry
from service.core.storage.filesystem import FilesystemStore
from tests.fixtures.stack import Stack
from workers.audit.reference.bank import ReferenceBank
from workers.numerics import architectures
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import from_bytes, write_file
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

FACTORY = "workers.numerics.architectures:mlp"
ARGUMENTS = {"in_features": 64, "hidden": 16}
RECIPE = TrainingRecipe(epochs=1, batch_size=64, learning_rate=0.1)
NUM_MEMBERS = 4
BANK = "prepared/bank.safetensors"


@pytest.fixture(scope="module")
def source() -> DatasetSource:
    """The digits."""
    return open_source({"source": "digits"})


@pytest.fixture(scope="module")
def weights(source: DatasetSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network that learned them in one epoch."""
    file = tmp_path_factory.mktemp("tiny") / "model.safetensors"
    write_file(file, train(lambda: architectures.build(FACTORY, ARGUMENTS), source, RECIPE).params)
    return file


def test_a_study_makes_a_promise_and_a_request_during_it_is_served_and_leaves_the_bank_renewed(
    stack: Stack, weights: Path, source: DatasetSource
) -> None:
    registration = {
        "name": "tiny",
        "architecture": {"factory": FACTORY, "arguments": ARGUMENTS},
        "dataset": {"source": "digits"},
        "training": RECIPE.to_json(),
        "policy": {
            "reference_models": NUM_MEMBERS,
            "class_references": 1,
            "class_ladder": ["retrain"],
            "samples_ladder": ["retrain"],
        },
    }
    row = int(source.manifest.positions("train")[7])
    stack.register(registration, weights)
    stack.until(lambda: bank_of(stack), lambda bank: bank is not None)

    request = stack.client.forget("tiny", samples_target([str(source.manifest.sample_ids[row])]))
    served = stack.settled(request)

    assert served.status == "completed"
    bank = stack.until(
        lambda: bank_of(stack),
        lambda bank: bank is not None and len(bank) == NUM_MEMBERS and row not in bank.positions,
    )
    assert len(bank.positions) == len(source.manifest.positions("train")) - 1
    promise = stack.until(lambda: shown(stack)["promise"], bool)
    assert [each["kind"] for each in promise] == ["class", "samples", "memorised"]
    assert all(each["guarantee"] == "exact" for each in promise)
    state = stack.until(lambda: study_of(stack), lambda study: study.get("is_done"))
    assert state["references"]["members"] == NUM_MEMBERS and len(state["references"]["classes"]) == 1


def shown(stack: Stack) -> dict[str, Any]:
    """The model as the API shows it."""
    return stack.client.model("tiny").model_dump()


def study_of(stack: Stack) -> dict[str, Any]:
    """What the served version's facts tell of its study."""
    with transaction(stack.sessions) as session:
        model = registry.model_named(session, "tiny")
        if model.served_version is None:
            return {}
        version = registry.version_numbered(session, model.id, model.served_version)
        found: dict[str, Any] = version.facts.get("study", {})
        return found


def bank_of(stack: Stack) -> ReferenceBank | None:
    """The reference bank of the served version, or None."""
    with transaction(stack.sessions) as session:
        model = registry.model_named(session, "tiny")
        if model.served_version is None:
            return None
        version = registry.version_numbered(session, model.id, model.served_version)
        files = {file.name: file.sha256 for file in registry.files_of(session, version.id)}
        if BANK not in files:
            return None
        read = FilesystemStore(stack.folder / "store").read(model.space, files[BANK])
        return ReferenceBank.of_tensors(from_bytes(read))
