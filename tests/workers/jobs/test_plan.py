"""Planning: which methods try, in which order."""

import uuid
from dataclasses import replace

import pytest

from service.core.registry.policy import Policy
from service.core.requests.runs import Assignment
from workers.jobs import plan
from workers.jobs.plan import Offer, Terrain

OFFERS = {
    "one_shot": Offer("one_shot", "approximate", frozenset({"class"}), frozenset({"codes"})),
    "ssd": Offer("ssd", "approximate", frozenset({"class", "samples"}), frozenset({"class_fishers"})),
    "retrain": Offer("retrain", "exact", frozenset({"class", "samples"}), frozenset({"recipe"})),
}
TERRAIN = Terrain(OFFERS, has_codes=True, has_recipe=True, training_seconds=1000.0)
POLICY = Policy(
    exact_budget_seconds=600.0,
    class_ladder=("one_shot", "ssd", "retrain"),
    samples_ladder=("ssd", "retrain"),
)
ASSIGNMENT = Assignment(
    run_id=uuid.UUID(int=1),
    base_version=1,
    seed=0,
    classes=(3,),
    positions=(5, 8),
    forgotten_classes=(),
    forgotten_positions=(),
    class_method="auto",
    samples_method="auto",
)
CLASS_ONLY = replace(ASSIGNMENT, positions=())
SAMPLES_ONLY = replace(ASSIGNMENT, classes=())


def methods(rungs: list[tuple[plan.Step, ...]]) -> list[list[str]]:
    return [[step.method for step in rung] for rung in rungs]


def test_a_class_request_climbs_the_class_ladder() -> None:
    assert methods(plan.ladder(CLASS_ONLY, POLICY, TERRAIN)) == [["one_shot"], ["ssd"], ["retrain"]]


def test_a_sample_request_climbs_the_samples_ladder() -> None:
    rungs = plan.ladder(SAMPLES_ONLY, POLICY, TERRAIN)

    assert methods(rungs) == [["ssd"], ["retrain"]]
    assert rungs[0][0].positions == (5, 8)


def test_a_model_whose_initial_weights_are_gone_is_never_planned_to_be_retrained() -> None:
    terrain = replace(TERRAIN, has_recipe=False, training_seconds=1.0)

    assert methods(plan.ladder(CLASS_ONLY, POLICY, terrain)) == [["one_shot"], ["ssd"]]


def test_mixed_requests_share_each_rung_and_end_in_one_retraining() -> None:
    rungs = plan.ladder(ASSIGNMENT, POLICY, TERRAIN)

    assert methods(rungs) == [["one_shot", "ssd"], ["retrain"]]
    assert (rungs[-1][0].classes, rungs[-1][0].positions) == ((3,), (5, 8))


def test_a_model_that_trains_within_its_budget_is_retrained_at_once() -> None:
    cheap = replace(TERRAIN, training_seconds=599.0)

    assert methods(plan.ladder(ASSIGNMENT, POLICY, cheap)) == [["retrain"]]


def test_a_model_of_unknown_cost_is_not_retrained_first() -> None:
    unknown = replace(TERRAIN, training_seconds=None)

    assert methods(plan.ladder(CLASS_ONLY, POLICY, unknown))[0] == ["one_shot"]


def test_a_method_asked_for_goes_first_even_when_retraining_is_cheap() -> None:
    asked = replace(CLASS_ONLY, class_method="ssd")
    cheap = replace(TERRAIN, training_seconds=1.0)

    assert methods(plan.ladder(asked, POLICY, cheap)) == [["ssd"], ["one_shot"], ["retrain"]]


def test_without_codes_the_one_shot_method_is_passed_over() -> None:
    assert methods(plan.ladder(CLASS_ONLY, POLICY, replace(TERRAIN, has_codes=False))) == [
        ["ssd"],
        ["retrain"],
    ]


def test_nothing_is_tried_after_an_exact_rung() -> None:
    policy = POLICY.model_copy(update={"class_ladder": ("retrain", "ssd")})

    assert methods(plan.ladder(CLASS_ONLY, policy, TERRAIN)) == [["retrain"]]


def test_a_ladder_of_unknown_methods_leaves_no_rung() -> None:
    policy = POLICY.model_copy(update={"samples_ladder": ("magic",)})

    assert plan.ladder(SAMPLES_ONLY, policy, TERRAIN) == []
    assert plan.ladder(ASSIGNMENT, policy, TERRAIN) == []


@pytest.mark.parametrize("kind", ["class", "samples"])
def test_a_policy_without_retraining_never_retrains(kind: str) -> None:
    policy = POLICY.model_copy(update={"class_ladder": ("ssd",), "samples_ladder": ("ssd",)})
    assignment = CLASS_ONLY if kind == "class" else SAMPLES_ONLY

    assert methods(plan.ladder(assignment, policy, TERRAIN)) == [["ssd"]]


def test_a_policy_states_the_parameters_of_its_methods() -> None:
    policy = POLICY.model_copy(update={"method_parameters": {"ssd": {"rho": 0.3}}})

    rungs = plan.ladder(ASSIGNMENT, policy, TERRAIN)

    assert [step.parameters for step in rungs[0]] == [{}, {"rho": 0.3}]
    assert rungs[-1][0].parameters == {}
