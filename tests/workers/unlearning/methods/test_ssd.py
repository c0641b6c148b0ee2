"""Selective synaptic dampening against the paper's Equation 4, and against its own rules."""

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics import metrics
from workers.numerics.information import ClassInformation, whole_of
from workers.unlearning import run
from workers.unlearning.base import Kind
from workers.unlearning.errors import IneffectiveError, MissingNeedError, ParametersError
from workers.unlearning.methods.ssd import MAX_UTILITY_DROP, METHOD, Shares, SsdParameters

FISHERS = {0: {"w": torch.tensor([4.0, 1.0, 0.0, 2.0])}, 1: {"w": torch.tensor([1.0, 3.0, 0.0, 0.0])}}
COUNTS = {0: 5, 1: 15}
WEIGHTS = {"w": torch.tensor([-2.0, 3.0, 5.0, -1.0]), "running_mean": torch.tensor([7.0])}


def shares_of_class_0():
    return Shares.of(FISHERS[0], COUNTS[0], whole_of(FISHERS, COUNTS), sum(COUNTS.values()))


def slow_equation_4(alpha, dampening):
    """Equation 4, number by number: I_f of class 0 against I_D of both."""
    damped = []
    for i, weight in enumerate(WEIGHTS["w"].tolist()):
        of_forget = float(FISHERS[0]["w"][i])
        of_all = sum(COUNTS[c] * float(FISHERS[c]["w"][i]) for c in FISHERS) / sum(COUNTS.values())
        is_selected = of_forget > alpha * of_all
        damped.append(weight * min(dampening * of_all / of_forget, 1) if is_selected else weight)
    return torch.tensor(damped)


def accuracy_of(problem, params, samples):
    return metrics.accuracy(*metrics.logits_of(problem.build(), params, samples))


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("dampening", [0.1, 1.0, 5.0])
def test_dampening_is_equation_4(alpha, dampening):
    shares = shares_of_class_0()

    dampened = shares.dampen(WEIGHTS, shares.strength(alpha * shares.fraction, dampening))

    torch.testing.assert_close(dampened["w"], slow_equation_4(alpha, dampening))
    assert dampened["running_mean"] is WEIGHTS["running_mean"]


def test_no_weight_grows_and_none_changes_its_sign():
    shares = shares_of_class_0()

    dampened = shares.dampen(WEIGHTS, shares.strength(0.0, 0.3))["w"]

    assert (dampened.abs() <= WEIGHTS["w"].abs()).all()
    assert (dampened * WEIGHTS["w"] >= 0).all()


def test_a_share_is_the_part_of_a_weights_information_that_the_forget_set_holds():
    shares = shares_of_class_0()

    torch.testing.assert_close(shares.rho["w"], torch.tensor([20 / 35, 5 / 50, 0.0, 1.0]))
    assert shares.fraction == 5 / 20


def test_a_share_never_exceeds_one_when_the_class_fishers_are_stale():
    fresh = {"w": torch.tensor([400.0, 1.0, 3.0, 2.0])}

    shares = Shares.of(fresh, COUNTS[0], whole_of(FISHERS, COUNTS), sum(COUNTS.values()))

    assert float(shares.rho["w"].max()) == 1.0 and float(shares.rho["w"].min()) >= 0.0


def test_alpha_and_the_share_it_stands_for_give_the_same_bytes():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))

    by_alpha = run.forget(METHOD, problem, SsdParameters(alpha=2.0, dampening=0.5))
    by_rho = run.forget(METHOD, problem, SsdParameters(rho=0.5, dampening=0.5))

    assert all(torch.equal(by_alpha.params[name], by_rho.params[name]) for name in problem.params)
    assert by_alpha.parameters["strengths"] == by_rho.parameters["strengths"]


def test_rho_and_alpha_together_are_refused():
    with pytest.raises(ParametersError, match="state one of them"):
        SsdParameters(rho=0.3, alpha=2.0)


def test_a_class_is_forgotten_and_the_others_are_not():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))
    is_gone = problem.tuning.labels.numpy() == 1

    result = run.forget(METHOD, problem)

    assert accuracy_of(problem, result.params, problem.tuning.take(is_gone.nonzero()[0])) <= 0.2
    assert accuracy_of(problem, result.params, problem.tuning.take((~is_gone).nonzero()[0])) >= 0.9


def test_a_class_request_reads_held_out_samples_only():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))

    run.forget(METHOD, problem)

    assert problem.forget.source.rows_read == {*problem.tuning.positions.tolist()}


def test_a_class_request_with_stated_strength_reads_nothing():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))

    run.forget(METHOD, problem, SsdParameters(rho=0.3, dampening=1.0))

    assert problem.forget.source.rows_read == set()


def test_several_classes_go_one_after_the_other_without_those_forgotten_earlier():
    problem = forget_problems.problem(Kind.CLASS, classes=(2, 0), forgotten_classes=(3,))
    one_by_one = forget_problems.problem(Kind.CLASS, classes=(0,), forgotten_classes=(2, 3))
    strength = SsdParameters(rho=0.3, dampening=1.0)

    together = run.forget(METHOD, problem, strength)

    first = run.forget(METHOD, one_by_one, strength).params
    last = forget_problems.problem(Kind.CLASS, classes=(2,), forgotten_classes=(0, 3), params=first)
    apart = run.forget(METHOD, last, strength)
    assert all(torch.equal(together.params[name], apart.params[name]) for name in problem.params)
    assert [step["class"] for step in together.parameters["strengths"]] == [0, 2]


def test_samples_are_forgotten_within_a_point_of_accuracy():
    problem = forget_problems.problem(Kind.SAMPLES)

    result = run.forget(METHOD, problem)

    drop = accuracy_of(problem, problem.params, problem.tuning) - accuracy_of(
        problem, result.params, problem.tuning
    )
    assert drop <= MAX_UTILITY_DROP
    assert result.diagnostics["samples_change"] > 0


def test_a_search_without_held_out_samples_is_refused_and_a_stated_strength_is_not():
    problem = forget_problems.problem(Kind.CLASS, holdout_counts=(0, 0, 0, 0))

    with pytest.raises(MissingNeedError, match="holdout split"):
        run.forget(METHOD, problem)
    assert run.forget(METHOD, problem, SsdParameters(rho=0.3, dampening=1.0)).params


def test_a_strength_that_changes_nothing_is_refused():
    problem = forget_problems.problem(Kind.SAMPLES)

    with pytest.raises(IneffectiveError, match="smaller rho"):
        run.forget(METHOD, problem, SsdParameters(rho=1.0, dampening=1.0))


def test_a_class_without_a_fisher_is_refused():
    only_0 = ClassInformation.of_means({0: FISHERS[0]}, COUNTS)
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), class_information=only_0)

    with pytest.raises(MissingNeedError, match="class 1"):
        run.forget(METHOD, problem)


def test_the_chosen_strength_and_its_rivals_are_told():
    result = run.forget(METHOD, forget_problems.problem(Kind.CLASS, classes=(1,)))

    (strength,) = result.parameters["strengths"]
    assert strength.keys() == {"class", "rho", "alpha", "dampening"}
    assert "retained=" in result.diagnostics["class_1_best_1"]
    assert "class_1_best_3" in result.diagnostics
