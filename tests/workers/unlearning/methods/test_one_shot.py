"""One-shot forgetting against the paper's equations, written out slowly, and against its own rules."""

import math

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics import calling
from workers.numerics.information import ClassInformation
from workers.unlearning import run
from workers.unlearning.base import Kind
from workers.unlearning.errors import MissingNeedError
from workers.unlearning.methods.one_shot import (
    FISHER_FLOOR,
    METHOD,
    Candidate,
    OneShotParameters,
    amplitudes_of,
    perturbed,
    search,
    soft_code_score,
)

FISHERS = {
    0: {"w": torch.tensor([4e-4, 1e-8, 0.0])},
    1: {"w": torch.tensor([1e-6, 1e-4, 0.0])},
    2: {"w": torch.tensor([3e-6, 2e-4, 0.0])},
}


def slow_change(forgotten, remaining, lambda_1, lambda_2):
    """Equations 6 and 7 in float64, number by number."""
    eta = []
    for i in range(3):
        above = float(FISHERS[forgotten]["w"][i]) + FISHER_FLOOR
        below = sum(float(FISHERS[c]["w"][i]) for c in remaining) / len(remaining) + FISHER_FLOOR
        eta.append(above / below)
    alpha = min(lambda_1, lambda_2 / max(eta))
    return torch.tensor([alpha * each for each in eta], dtype=torch.float64)


def code_probabilities(problem, params):
    model = problem.build()
    with calling.evaluating(model), torch.no_grad():
        return calling.logits(model, params, problem.codes).softmax(1).diagonal()


@pytest.mark.parametrize("lambda_1", [1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("lambda_2", [1e-3, 1.0, 1e5])
def test_the_change_is_that_of_equations_6_and_7(lambda_1, lambda_2):
    amplitudes = amplitudes_of(ClassInformation.of_means(FISHERS, dict.fromkeys(FISHERS, 1)), 0, [0])

    change = amplitudes["w"].change(lambda_1, lambda_2)

    # float32 logarithms of ratios up to e30 carry a relative error of about 1e-5
    torch.testing.assert_close(change.double(), slow_change(0, [1, 2], lambda_1, lambda_2), rtol=1e-4, atol=0)
    assert float(change.max()) <= lambda_2 * (1 + 1e-6)


def test_a_ratio_beyond_float32_stays_finite():
    fishers = {0: {"w": torch.tensor([1e30, 0.0])}, 1: {"w": torch.tensor([0.0, 1e30])}}

    change = amplitudes_of(ClassInformation.of_means(fishers, dict.fromkeys(fishers, 1)), 0, [0])["w"].change(
        1.0, 10.0
    )

    assert torch.isfinite(change).all()
    assert float(change.max()) == pytest.approx(10.0)


def test_both_signs_move_every_tensor_that_has_an_amplitude_and_no_other():
    params = {"w": torch.zeros(3), "running_mean": torch.ones(2)}
    amplitudes = amplitudes_of(ClassInformation.of_means(FISHERS, dict.fromkeys(FISHERS, 1)), 0, [0])

    up, down = (perturbed(params, amplitudes, sign, 1e-2, 1.0) for sign in (1, -1))

    assert torch.equal(up["w"], -down["w"]) and float(up["w"].max()) > 0
    assert up["running_mean"] is params["running_mean"]


def test_the_soft_score_adds_probabilities_on_the_codes():
    model = torch.nn.Flatten()
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])

    score = soft_code_score(model, {"none": torch.zeros(1)}, logits[:, None], [0], [1])

    expected = 1 / (1 + math.exp(-2)) + 1 - 1 / (1 + math.exp(-1))
    assert score == pytest.approx(expected, abs=1e-6)


def test_equal_scores_go_to_the_smaller_change():
    from_size = {(-1, 1e-6): 3.0, (-1, 1e-5): 1.0}

    def trial(sign, lambda_1, lambda_2):
        size = from_size.get((sign, round(lambda_1, 7)), 9.0)
        return Candidate(sign, lambda_1, lambda_2, 1.0, size)

    best = search(trial, OneShotParameters(lambda_2=1.0))[0]

    assert (best.sign, best.size) == (-1, 1.0)


def test_the_forgotten_codes_go_and_the_remaining_ones_stay():
    problem = forget_problems.problem(Kind.CLASS, classes=(0, 2))

    result = run.forget(METHOD, problem)

    before, after = code_probabilities(problem, problem.params), code_probabilities(problem, result.params)
    assert float(before.min()) > 0.8
    assert float(after[[0, 2]].max()) < 0.5
    assert float(after[[1, 3]].min()) > 0.5


def test_no_data_is_read():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))

    run.forget(METHOD, problem)

    assert problem.forget.source.rows_read == set()


def test_a_class_forgotten_earlier_is_not_protected():
    problem = forget_problems.problem(Kind.CLASS, classes=(0, 2), forgotten_classes=(3,))

    result = run.forget(METHOD, problem)

    everything = forget_problems.problem(Kind.CLASS, classes=(0, 2)).code_information
    amplitudes = amplitudes_of(problem.code_information, 0, problem.classes)
    protecting_3 = amplitudes_of(everything, 0, problem.classes)
    assert len(result.parameters["strengths"]) == 2
    assert any(not torch.allclose(amplitudes[n].shape, protecting_3[n].shape) for n in amplitudes)


def test_stated_lambdas_are_used_as_they_are():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))

    result = run.forget(METHOD, problem, OneShotParameters(lambda_1=1e-3, lambda_2=0.25))

    (strength,) = result.parameters["strengths"]
    assert (strength["lambda_1"], strength["lambda_2"]) == (1e-3, 0.25)
    moved = [float((result.params[n] - problem.params[n]).abs().max()) for n in problem.params]
    assert 0 < max(moved) <= 0.25 + 1e-6


def test_a_model_without_codes_is_refused():
    problem = forget_problems.problem(Kind.CLASS, codes=None, code_information=None)

    with pytest.raises(MissingNeedError, match="mnemonic codes"):
        run.forget(METHOD, problem)
