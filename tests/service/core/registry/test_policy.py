"""A model's policy: sound defaults, and no field that is unknown or out of range."""

import pytest
from pydantic import ValidationError

from service.core.registry.policy import Policy


def test_policy_survives_the_database() -> None:
    policy = Policy(class_ladder=("one_shot",), audit_limits={"membership": 0.6}, cancel_window_seconds=5)

    assert Policy.model_validate(policy.model_dump(mode="json")) == policy


def test_classes_come_to_exact_retraining_last_and_samples_first_by_default() -> None:
    assert Policy().class_ladder[-1] == Policy().samples_ladder[0] == "retrain"


@pytest.mark.parametrize(
    "fields",
    [
        {"class_ladder": []},
        {"samples_ladder": []},
        {"exact_budget_seconds": -1},
        {"cancel_window_seconds": -1},
        {"cancel_window_seconds": 31 * 86_400},
        {"batch_window_seconds": -1},
        {"batch_window_seconds": 8 * 86_400},
        {"colour": "blue"},
    ],
)
def test_senseless_policy_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate(fields)
