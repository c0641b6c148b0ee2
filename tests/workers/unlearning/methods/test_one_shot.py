"""One-shot forgetting: what goes, what stays, what is read, and what is refused."""

import dataclasses
import math
from collections import OrderedDict

import pytest
import torch
from torch import nn

from tests.fixtures import forget_problems
from workers.numerics import calling
from workers.numerics.information import ClassInformation
from workers.unlearning import run
from workers.unlearning.amplitude import amplitudes_of, others_of
from workers.unlearning.base import Kind
from workers.unlearning.errors import ImpossibleRequestError, IneffectiveError, MissingNeedError
from workers.unlearning.methods.one_shot import METHOD, OneShotParameters

HEAD = ("head.weight", "head.bias")


def posed(**changes):
    return forget_problems.problem(Kind.CLASS, **{"classes": (1,), **changes})


def code_logits(problem, params):
    model = problem.build()
    with calling.evaluating(model), torch.no_grad():
        return calling.logits(model, params, problem.codes).double()


def without_tuning(problem):
    return dataclasses.replace(problem, tuning=problem.tuning.take([]))


def state(tensors):
    return {name: tensor.clone() for name, tensor in tensors.items()}


@pytest.mark.parametrize("build", [forget_problems.mlp, forget_problems.cnn])
@pytest.mark.parametrize("classes", [(1,), (0, 2)])
def test_the_forgotten_codes_go_and_the_remaining_ones_stay(build, classes):
    problem = without_tuning(posed(classes=classes, build=build))
    kept = [*problem.remaining_classes]

    result = run.forget(METHOD, problem)

    before = code_logits(problem, problem.params).softmax(1).diagonal()
    after = code_logits(problem, result.params).softmax(1).diagonal()
    assert float(after[[*classes]].max()) < 0.05
    assert float(before[kept].mean() - after[kept].mean()) <= 0.01


@pytest.mark.parametrize("build", [forget_problems.mlp, forget_problems.cnn])
def test_the_last_layer_forgets_with_the_hidden_layers_as_they_were_given(build):
    problem = posed(build=build)

    result = run.forget(METHOD, problem)

    repaired = {**problem.params, **{name: result.params[name] for name in HEAD}}
    answers = code_logits(problem, repaired)
    assert any(not torch.equal(result.params[n], problem.params[n]) for n in problem.params if n not in HEAD)
    assert int(answers[1].argmax()) != 1


def test_the_forgotten_code_falls_as_far_below_the_others_as_it_stood_above():
    problem = without_tuning(posed())

    result = run.forget(METHOD, problem, OneShotParameters(lambda_2=0.0))

    def log_odds(params):
        logits = code_logits(problem, params)
        return logits[:, 1] - logits[:, [0, 2, 3]].logsumexp(1)

    before, after = log_odds(problem.params), log_odds(result.params)
    mean = before[[0, 2, 3]].mean()
    # float32 weights: 1e-7 of logits of a few units
    torch.testing.assert_close(after[1] - mean, mean - before[1], rtol=1e-4, atol=0)


def test_in_the_last_layer_no_other_row_moves():
    problem = posed(classes=(0, 2))

    result = run.forget(METHOD, problem)

    for name in HEAD:
        moved = (result.params[name] != problem.params[name]).reshape(4, -1).any(1)
        assert moved.tolist() == [True, False, True, False]


def test_hidden_layers_move_by_the_amplitude_against_the_remaining_classes():
    problem = posed(classes=(0, 2), forgotten_classes=(3,))
    information = problem.code_information

    result = run.forget(METHOD, problem, OneShotParameters(lambda_1=1e-3, lambda_2=0.25))

    name = "features.1.weight"
    others = others_of(information, (0, 2))
    torch.testing.assert_close(others[name], information.fetch(1)[name].double(), rtol=1e-6, atol=1e-12)
    expected = problem.params[name]
    for label in (0, 2):
        expected = amplitudes_of(information.fetch(label), others)[name].moved(expected, -1, 1e-3, 0.25)
    torch.testing.assert_close(result.params[name], expected, rtol=0, atol=0)


def test_only_held_out_samples_are_read_and_without_them_none():
    problem = posed()
    source = problem.forget.source

    run.forget(METHOD, without_tuning(problem))
    read_without = {*source.rows_read}
    run.forget(METHOD, problem)

    assert read_without == set()
    assert source.rows_read <= {*source.manifest.positions("holdout").tolist()}


def test_held_out_samples_that_are_still_recognised_take_the_row_further_down():
    problem = posed()
    faint = dataclasses.replace(problem, codes=0.1 * problem.codes)
    ((images, _),) = problem.tuning.take((problem.tuning.labels == 1).nonzero()[:, 0].numpy()).batches(99)

    without, result = (run.forget(METHOD, each) for each in (without_tuning(faint), faint))

    model = problem.build()
    with calling.evaluating(model), torch.no_grad():
        answers = [calling.logits(model, each.params, images).argmax(1) for each in (without, result)]
    steps = [each.parameters["strengths"][0]["output_lambda_2"] for each in (without, result)]
    assert bool((answers[0] == 1).any()) and not bool((answers[1] == 1).any())
    assert steps[1] > 1.5 * steps[0]


def test_stated_lambdas_are_used_as_they_are():
    problem = posed()

    result = run.forget(METHOD, problem, OneShotParameters(lambda_2=0.25, output_lambda_2=0.5))

    (strength,) = result.parameters["strengths"]
    moved = {n: float((result.params[n] - problem.params[n]).abs().max()) for n in problem.params}
    assert (strength["lambda_2"], strength["output_lambda_2"]) == (0.25, 0.5)
    assert max(moved[name] for name in moved if name not in HEAD) == pytest.approx(0.25)
    assert max(moved[name] for name in HEAD) == pytest.approx(0.5)


def test_a_larger_budget_moves_hidden_layers_further():
    problem = posed()

    small, large = (
        run.forget(METHOD, problem, OneShotParameters(hidden_budget=each)).parameters["strengths"][0]
        for each in (0.01, 0.2)
    )

    assert 0 < small["lambda_2"] < large["lambda_2"]


def test_the_same_problem_gives_the_same_bytes():
    first, second = (run.forget(METHOD, posed(classes=(0, 2))) for _ in range(2))

    assert all(torch.equal(first.params[name], second.params[name]) for name in first.params)


def test_one_remaining_class_is_enough():
    problem = without_tuning(posed(classes=(0, 1, 3)))

    result = run.forget(METHOD, problem)

    assert code_logits(problem, result.params).argmax(1).tolist() == [2, 2, 2, 2]


def test_no_remaining_class_is_refused():
    with pytest.raises(ImpossibleRequestError, match="every class"):
        run.forget(METHOD, posed(classes=(0, 1), forgotten_classes=(2, 3)))


def test_two_outputs_are_enough():
    problem = without_tuning(posed(train_counts=(12, 12), holdout_counts=(6, 6), num_samples=2))

    result = run.forget(METHOD, problem)

    assert code_logits(problem, result.params).argmax(1).tolist() == [0, 0]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_kept(kind):
    problem = without_tuning(posed())
    cast = {name: tensor.to(kind) for name, tensor in problem.params.items()}

    result = run.forget(METHOD, dataclasses.replace(problem, params=cast))

    assert {tensor.dtype for tensor in result.params.values()} == {kind}
    answers = code_logits(problem, result.params).argmax(1).tolist()
    assert answers[1] != 1
    assert [answers[0], *answers[2:]] == [0, 2, 3]


def test_a_tensor_that_no_code_depends_on_stays():
    problem = posed()
    fishers = {label: state(problem.code_information.fetch(label)) for label in range(4)}
    for fisher in fishers.values():
        fisher["features.1.bias"].zero_()
    information = ClassInformation.of_means(fishers, dict.fromkeys(fishers, 1))

    result = run.forget(METHOD, dataclasses.replace(problem, code_information=information))

    assert torch.equal(result.params["features.1.bias"], problem.params["features.1.bias"])
    assert not torch.equal(result.params["features.1.weight"], problem.params["features.1.weight"])


def with_broken_code(problem):
    codes = problem.codes.clone()
    codes[3, 0, 0, 0] = math.nan
    return dataclasses.replace(problem, codes=codes)


def with_broken_fisher(problem):
    fishers = {label: state(problem.code_information.fetch(label)) for label in range(4)}
    fishers[2]["features.1.weight"][0, 0] = math.nan
    information = ClassInformation.of_means(fishers, dict.fromkeys(fishers, 1))
    return dataclasses.replace(problem, code_information=information)


def with_no_fisher_of_its_class(problem):
    fishers = {label: problem.code_information.fetch(label) for label in (0, 2, 3)}
    information = ClassInformation.of_means(fishers, dict.fromkeys(fishers, 1))
    return dataclasses.replace(problem, code_information=information)


def with_fishers_of_zero(problem):
    fishers = {label: state(problem.code_information.fetch(label)) for label in range(4)}
    for tensor in fishers[1].values():
        tensor.zero_()
    information = ClassInformation.of_means(fishers, dict.fromkeys(fishers, 1))
    return dataclasses.replace(problem, code_information=information)


def with_log_probabilities(problem):
    def build():
        return nn.Sequential(
            OrderedDict([*forget_problems.mlp(4).named_children(), ("probabilities", nn.LogSoftmax(1))])
        )

    return dataclasses.replace(problem, build=build)


@pytest.mark.parametrize(
    ("broken", "error", "words"),
    [
        (lambda p: dataclasses.replace(p, codes=None), MissingNeedError, "mnemonic codes"),
        (with_broken_code, MissingNeedError, "finite codes"),
        (with_broken_fisher, MissingNeedError, "'features.1.weight'"),
        (with_no_fisher_of_its_class, MissingNeedError, "mnemonic codes"),
        (with_fishers_of_zero, IneffectiveError, "last layer"),
        (with_log_probabilities, IneffectiveError, "last layer"),
    ],
    ids=[
        "no codes",
        "NaN in a code",
        "NaN in a Fisher",
        "a class without a Fisher",
        "Fishers of zero",
        "no last row",
    ],
)
def test_what_cannot_work_is_refused_and_the_model_left_alone(broken, error, words):
    problem = broken(posed())
    before = state(problem.params)

    with pytest.raises(error, match=words):
        run.forget(METHOD, problem)

    assert all(torch.equal(before[name], tensor) for name, tensor in problem.params.items())


def test_a_model_whose_codes_were_never_learned_is_refused():
    problem = without_tuning(posed())
    blank = {name: torch.zeros_like(tensor) for name, tensor in problem.params.items()}

    with pytest.raises(IneffectiveError):
        run.forget(METHOD, dataclasses.replace(problem, params=blank), OneShotParameters(lambda_2=0.0))
