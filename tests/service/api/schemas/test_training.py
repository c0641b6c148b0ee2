"""The recipe that the API takes is the recipe that a worker reads."""

import pytest
from pydantic import ValidationError

from service.api.schemas.training import Training
from workers.preparation.recipe import TrainingRecipe


def test_the_defaults_are_the_workers():
    assert Training().model_dump(mode="json", exclude_none=True) == TrainingRecipe().to_json()


def test_whatever_is_accepted_the_worker_reads():
    sent = {"epochs": 3, "learning_rate": 1, "schedule": "constant", "code_mix": 0.5, "seed": 2**63 - 1,
            "steps": 2000, "initial": "0a" * 32, "shards": 5}  # fmt: skip

    recipe = TrainingRecipe.from_json(Training.model_validate(sent).model_dump(mode="json"))

    assert recipe.to_json() == sent | {
        "batch_size": 64,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "code_seed": 0,
        "slices": 1,
    }


def test_a_head_is_read_with_the_workers_defaults():
    recipe = TrainingRecipe.from_json(
        Training(head={"sigma": 0.5}, initial="0a" * 32).model_dump(mode="json")
    )

    assert recipe.to_json()["head"] == {"l2": 1e-3, "sigma": 0.5}


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"epochs": True}, {"epochs": 2.0}, {"epochs": "3"}, {"learning_rate": -1},
     {"momentum": 1.5}, {"learning_rate": "0.1"}, {"learning_rate": float("nan")},
     {"weight_decay": float("inf")}, {"seed": -1}, {"schedule": "linear"},
     {"shards": 0}, {"slices": 1001}, {"shards": True},
     {"steps": 0}, {"steps": 1.5}, {"initial": "AB" * 32}, {"initial": "0a"},
     {"head": 1}, {"head": {}}, {"head": {}, "initial": "0a" * 32, "code_mix": 0.1},
     {"head": {"sigma": 0}, "initial": "0a" * 32}, {"head": {"l2": -1}, "initial": "0a" * 32},
     {"head": {"lambda": 1}, "initial": "0a" * 32},
     {"code_mix": True}, {"optimiser": "adam"}],
)  # fmt: skip
def test_what_no_worker_would_read_is_refused(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        Training.model_validate(wrong)
