"""Planning: which methods try, in which order."""

import uuid
from dataclasses import replace

import pytest

from service.core.registry.policy import Policy
from service.core.requests.assignments import Assignment
from workers.jobs import plan
from workers.jobs.plan import Offer, Terrain
from workers.preparation.rehearsal.record import CaseKind, Outcome, Rehearsal, Try

OFFERS = {
    "one_shot": Offer("one_shot", "approximate", frozenset({"class"}), frozenset({"codes"})),
    "ssd": Offer("ssd", "approximate", frozenset({"class", "samples"}), frozenset({"class_fishers"})),
    "amnesiac": Offer("amnesiac", "approximate", frozenset({"class", "samples"}), frozenset({"update_log"})),
    "retrain": Offer("retrain", "exact", frozenset({"class", "samples"}), frozenset({"recipe"})),
}
MASK = Offer("output_mask", "suppressed", frozenset({"class"}), frozenset())
TERRAIN = Terrain(OFFERS, has_codes=True, has_recipe=True, has_update_log=True, training_seconds=1000.0)
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


def test_a_method_that_subtracts_is_planned_only_where_the_log_is_there_and_fits() -> None:
    asked = replace(SAMPLES_ONLY, samples_method="amnesiac")

    assert methods(plan.ladder(asked, POLICY, TERRAIN))[0] == ["amnesiac"]
    assert methods(plan.ladder(asked, POLICY, replace(TERRAIN, has_update_log=False)))[0] == ["ssd"]


def test_removal_by_proof_is_planned_only_where_the_version_has_a_proof_to_start_from() -> None:
    offers = OFFERS | {
        "certified_removal": Offer(
            "certified_removal", "certified", frozenset({"samples"}), frozenset({"head"})
        )
    }
    policy = POLICY.model_copy(update={"samples_ladder": ("certified_removal", "retrain")})
    without = replace(TERRAIN, offers=offers)

    assert methods(plan.ladder(SAMPLES_ONLY, policy, without)) == [["retrain"]]
    assert methods(plan.ladder(SAMPLES_ONLY, policy, replace(without, has_head=True))) == [
        ["certified_removal"],
        ["retrain"],
    ]


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


def test_a_ladder_of_unknown_methods_leaves_exact_retraining_or_no_rung() -> None:
    policy = POLICY.model_copy(update={"samples_ladder": ("magic",)})

    assert methods(plan.ladder(SAMPLES_ONLY, policy, TERRAIN)) == [["retrain"]]

    policy = policy.model_copy(update={"exact_at_last": False})

    assert plan.ladder(SAMPLES_ONLY, policy, TERRAIN) == []
    assert plan.ladder(ASSIGNMENT, policy, TERRAIN) == []


@pytest.mark.parametrize("kind", ["class", "samples"])
def test_a_policy_that_rules_retraining_out_never_retrains(kind: str) -> None:
    policy = POLICY.model_copy(
        update={"class_ladder": ("ssd",), "samples_ladder": ("ssd",), "exact_at_last": False}
    )
    assignment = CLASS_ONLY if kind == "class" else SAMPLES_ONLY

    assert methods(plan.ladder(assignment, policy, TERRAIN)) == [["ssd"]]


@pytest.mark.parametrize("assignment", [CLASS_ONLY, SAMPLES_ONLY])
def test_a_ladder_that_names_no_exact_method_ends_in_one_all_the_same(assignment: Assignment) -> None:
    policy = POLICY.model_copy(update={"class_ladder": ("ssd",), "samples_ladder": ("ssd",)})

    assert methods(plan.ladder(assignment, policy, TERRAIN)) == [["ssd"], ["retrain"]]
    assert methods(plan.ladder(assignment, policy, replace(TERRAIN, has_recipe=False))) == [["ssd"]]


def test_a_run_that_is_to_be_exact_retrains_for_everything_in_one_step() -> None:
    (rung,) = plan.ladder(replace(ASSIGNMENT, is_exact_only=True), POLICY, TERRAIN)

    (step,) = rung
    assert (step.method, step.classes, step.positions) == ("retrain", (3,), (5, 8))


def test_a_run_that_is_to_be_exact_has_no_rung_where_nothing_can_be_retrained() -> None:
    terrain = replace(TERRAIN, has_recipe=False)

    assert plan.ladder(replace(ASSIGNMENT, is_exact_only=True), POLICY, terrain) == []


def test_a_mask_is_no_rung_of_a_ladder_though_policy_and_request_name_it() -> None:
    policy = POLICY.model_copy(update={"class_ladder": ("output_mask", "ssd")})
    terrain = replace(TERRAIN, offers={**OFFERS, "output_mask": MASK})

    assert methods(plan.ladder(CLASS_ONLY, policy, terrain)) == [["ssd"], ["retrain"]]
    asked = replace(CLASS_ONLY, class_method="output_mask")
    assert methods(plan.ladder(asked, policy, terrain)) == [["ssd"], ["retrain"]]


def test_a_mask_serves_classes_alone() -> None:
    terrain = replace(TERRAIN, offers={**OFFERS, "output_mask": MASK})

    rung = plan.mask_rung(CLASS_ONLY, POLICY, terrain)
    assert rung is not None and [step.method for step in rung] == ["output_mask"]
    assert plan.mask_rung(ASSIGNMENT, POLICY, terrain) is None
    assert plan.mask_rung(SAMPLES_ONLY, POLICY, terrain) is None
    assert plan.mask_rung(CLASS_ONLY, POLICY, TERRAIN) is None


def test_a_policy_states_the_parameters_of_its_methods() -> None:
    policy = POLICY.model_copy(update={"method_parameters": {"ssd": {"rho": 0.3}}})

    rungs = plan.ladder(ASSIGNMENT, policy, TERRAIN)

    assert [step.parameters for step in rungs[0]] == [{}, {"rho": 0.3}]
    assert rungs[-1][0].parameters == {}


SHARDED = replace(
    TERRAIN,
    offers={
        **OFFERS,
        "sisa": Offer(
            "sisa", "exact", frozenset({"class", "samples"}), frozenset({"recipe", "retain_set", "slices"})
        ),
    },
    shards=5,
    has_slices=True,
)
ONE_SAMPLE = replace(SAMPLES_ONLY, positions=(5,))


def test_a_model_trained_in_shards_ends_its_ladder_with_its_shards_not_with_a_whole_training() -> None:
    dear = replace(SHARDED, training_seconds=10_000.0)

    assert methods(plan.ladder(SAMPLES_ONLY, POLICY, dear)) == [["ssd"], ["sisa"]]
    assert methods(plan.ladder(CLASS_ONLY, POLICY, dear)) == [["one_shot"], ["ssd"], ["sisa"]]
    assert methods(plan.ladder(ASSIGNMENT, POLICY, dear)) == [["one_shot", "ssd"], ["sisa"]]


def test_any_other_model_is_retrained_though_there_is_a_method_for_shards() -> None:
    whole = replace(SHARDED, shards=1, has_slices=False, training_seconds=1.0)

    assert methods(plan.ladder(SAMPLES_ONLY, POLICY, whole)) == [["retrain"]]


def test_a_policy_that_names_shards_passes_them_over_where_there_are_none() -> None:
    policy = POLICY.model_copy(update={"samples_ladder": ("ssd", "sisa"), "exact_at_last": False})
    whole = replace(SHARDED, shards=1, has_slices=False)

    assert methods(plan.ladder(SAMPLES_ONLY, policy, whole)) == [["ssd"]]


@pytest.mark.parametrize(
    ("seconds", "first"),
    [(2999.0, "sisa"), (3001.0, "ssd")],
)
def test_the_budget_for_exact_methods_is_held_against_the_shards_to_train(seconds: float, first: str) -> None:
    terrain = replace(SHARDED, training_seconds=seconds)  # one shard of five: 600 s of 3,000

    assert methods(plan.ladder(ONE_SAMPLE, POLICY, terrain))[0] == [first]


def test_a_class_lies_in_every_shard_so_its_budget_is_a_whole_training() -> None:
    terrain = replace(SHARDED, training_seconds=2999.0)

    assert methods(plan.ladder(CLASS_ONLY, POLICY, terrain))[0] == ["one_shot"]
    assert methods(plan.ladder(ASSIGNMENT, POLICY, terrain))[0] == ["one_shot", "ssd"]


def test_many_samples_are_expected_in_most_shards() -> None:
    terrain = replace(SHARDED, training_seconds=700.0)
    many = replace(SAMPLES_ONLY, positions=tuple(range(100)))

    assert methods(plan.ladder(SAMPLES_ONLY, POLICY, terrain))[0] == ["sisa"]
    assert methods(plan.ladder(many, POLICY, terrain))[0] == ["ssd"]


def test_a_whole_retraining_is_done_when_it_is_asked_for_by_name() -> None:
    asked = replace(ONE_SAMPLE, samples_method="retrain")

    assert methods(plan.ladder(asked, POLICY, SHARDED)) == [["retrain"]]


def test_slices_of_a_single_shard_are_taken_up_before_a_whole_retraining() -> None:
    terrain = replace(SHARDED, shards=1, training_seconds=1.0)

    assert methods(plan.ladder(CLASS_ONLY, POLICY, terrain)) == [["sisa"]]


def rehearsed(*tries: Try) -> Terrain:
    return replace(TERRAIN, rehearsal=Rehearsal("suite", "0" * 64, tries))


def tried(
    method: str,
    case: str,
    outcome: str = "pass",
    *,
    kind: str = "class",
    label: int | None = None,
    **setting: float,
) -> Try:
    return Try(
        kind=CaseKind(kind),
        case=case,
        label=label,
        num_samples=10,
        method=method,
        guarantee="approximate",
        setting=setting,
        outcome=Outcome(outcome),
        reason="",
        drop=0.0,
        seconds=0.1,
    )


LOST_THRICE = [tried("one_shot", f"class {label}", "fail", label=label) for label in (0, 1, 2)]


def test_a_rung_that_failed_every_rehearsal_is_left_out() -> None:
    assert methods(plan.ladder(CLASS_ONLY, POLICY, rehearsed(*LOST_THRICE))) == [["ssd"], ["retrain"]]


def test_two_lost_rehearsals_leave_out_nothing() -> None:
    assert methods(plan.ladder(CLASS_ONLY, POLICY, rehearsed(*LOST_THRICE[:2])))[0] == ["one_shot"]


def test_a_rung_that_no_audit_could_judge_is_tried_all_the_same() -> None:
    unclear = tried("one_shot", "class 4", "inconclusive", label=4)

    assert methods(plan.ladder(CLASS_ONLY, POLICY, rehearsed(*LOST_THRICE, unclear)))[0] == ["one_shot"]


def test_a_class_whose_own_rehearsal_failed_goes_to_the_next_rung_though_others_passed() -> None:
    record = [tried("one_shot", f"class {label}", label=label) for label in (0, 1, 2)]
    own = tried("one_shot", "class 3", "refused", label=3)

    assert methods(plan.ladder(CLASS_ONLY, POLICY, rehearsed(*record, own)))[0] == ["ssd"]
    other = replace(CLASS_ONLY, classes=(1,))
    assert methods(plan.ladder(other, POLICY, rehearsed(*record, own)))[0] == ["one_shot"]


def test_a_method_asked_for_by_name_is_tried_though_it_was_seen_to_fail() -> None:
    asked = replace(CLASS_ONLY, class_method="one_shot")

    assert methods(plan.ladder(asked, POLICY, rehearsed(*LOST_THRICE)))[0] == ["one_shot"]


def test_a_ladder_is_never_emptied_by_what_was_rehearsed() -> None:
    policy = POLICY.model_copy(update={"class_ladder": ("one_shot",), "exact_at_last": False})

    assert methods(plan.ladder(CLASS_ONLY, policy, rehearsed(*LOST_THRICE))) == [["one_shot"]]


def test_samples_are_not_denied_a_method_that_only_failed_on_memorised_ones() -> None:
    lost = [tried("ssd", f"memorised {n}", "fail", kind="memorised") for n in range(3)]
    passed = tried("ssd", "samples 0", kind="samples")

    assert methods(plan.ladder(SAMPLES_ONLY, POLICY, rehearsed(*lost, passed)))[0] == ["ssd"]
    assert methods(plan.ladder(SAMPLES_ONLY, POLICY, rehearsed(*lost))) == [["retrain"]]


def test_a_model_that_trains_within_its_budget_is_retrained_whatever_was_rehearsed() -> None:
    cheap = replace(rehearsed(tried("one_shot", "class 3", label=3)), training_seconds=1.0)

    assert methods(plan.ladder(CLASS_ONLY, POLICY, cheap)) == [["retrain"]]


def test_a_method_runs_at_the_setting_that_passed_and_a_class_at_its_own() -> None:
    record = [tried("one_shot", f"class {label}", label=label, strength=0.3) for label in (0, 1, 2)]
    own = tried("one_shot", "class 3", label=3, strength=0.5)
    terrain = rehearsed(*record, own)

    assert plan.ladder(CLASS_ONLY, POLICY, terrain)[0][0].parameters == {"strength": 0.5}
    other = replace(CLASS_ONLY, classes=(4,))
    assert plan.ladder(other, POLICY, terrain)[0][0].parameters == {"strength": 0.3}


def test_several_classes_at_once_are_forgotten_by_the_methods_own_defaults() -> None:
    record = [tried("one_shot", f"class {label}", label=label, strength=0.3) for label in (0, 1, 2)]

    rungs = plan.ladder(replace(CLASS_ONLY, classes=(0, 1)), POLICY, rehearsed(*record))

    assert rungs[0][0].parameters == {}


def test_what_the_policy_states_goes_before_what_was_rehearsed() -> None:
    policy = POLICY.model_copy(update={"method_parameters": {"one_shot": {"strength": 0.9}}})
    terrain = rehearsed(tried("one_shot", "class 3", label=3, strength=0.5))

    assert plan.ladder(CLASS_ONLY, policy, terrain)[0][0].parameters == {"strength": 0.9}


def test_exact_retraining_runs_by_its_recipe_alone() -> None:
    terrain = rehearsed(
        *LOST_THRICE, *(tried("ssd", one.case, "fail", label=one.label) for one in LOST_THRICE)
    )

    (rung,) = plan.ladder(CLASS_ONLY, POLICY, terrain)

    assert (rung[0].method, rung[0].parameters) == ("retrain", {})
