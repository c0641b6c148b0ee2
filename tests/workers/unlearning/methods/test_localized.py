"""Localized unlearning moves the weights that a strategy found, and no others, whatever the step does."""

import dataclasses
import itertools

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics import metrics
from workers.unlearning import head, run
from workers.unlearning.base import Kind
from workers.unlearning.errors import IneffectiveError, MissingNeedError, ParametersError
from workers.unlearning.localization import strategies
from workers.unlearning.localization.strategies import Strategy
from workers.unlearning.methods.localized import METHOD, LocalizedParameters, Step

SHARE = 0.85  # of the small networks, which no strategy finds too little
PAIRS = [*itertools.product(Strategy, Step)]


def masks_of(problem, strategy, step):
    """Return what may move: the strategy's masks, and the last layer where the weights are reset."""
    total = 0.1 * forget_problems.NUM_STEPS * (len(problem.retain) + len(problem.forget))
    located = strategies.locate(problem, strategy, share=SHARE, top_share=0.1, max_passes=0.5 * total)
    masks = {name: torch.zeros_like(tensor).bool() for name, tensor in problem.params.items()}
    masks |= located.masks
    if step is Step.RESET:
        masks |= {name: torch.ones_like(masks[name]) for name in head.names(problem)}
    return masks


def accuracy_of(problem, params, samples):
    return metrics.accuracy(*metrics.logits_of(problem.build(), params, samples))


@pytest.mark.parametrize(("strategy", "step"), PAIRS)
@pytest.mark.parametrize("build", [forget_problems.mlp, forget_problems.cnn])
def test_weights_outside_the_mask_keep_their_bytes_under_weight_decay_and_momentum(strategy, step, build):
    problem = forget_problems.problem(Kind.SAMPLES, build=build)
    masks = masks_of(problem, strategy, step)
    given = LocalizedParameters(
        strategy=strategy, step=step, parameter_share=SHARE, weight_decay=0.1, adapts_statistics=False
    )

    result = run.forget(METHOD, problem, given)

    moved = {name: result.params[name] != tensor for name, tensor in problem.params.items()}
    assert not any(bool((moved[name] & ~masks[name]).any()) for name in moved)
    assert any(bool(one.any()) for one in moved.values())


@pytest.mark.parametrize("step", [Step.RANDOM_LABEL, Step.NEG_GRAD_PLUS])
def test_steps_that_read_the_forget_set_gather_no_statistics_of_it(step):
    problem = forget_problems.problem(Kind.SAMPLES, build=forget_problems.cnn)

    result = run.forget(METHOD, problem, LocalizedParameters(step=step))

    assert result.parameters["adapts_statistics"] is False
    assert all(result.params[name] is problem.params[name] for name in problem.params if "running" in name)


def test_the_head_is_left_alone_where_the_request_says_so():
    problem = forget_problems.problem(Kind.SAMPLES)
    given = LocalizedParameters(strategy="shallowest", parameter_share=SHARE, trains_head=False)

    result = run.forget(METHOD, problem, given)

    assert torch.equal(result.params["head.weight"], problem.params["head.weight"])
    assert not torch.equal(result.params["features.1.weight"], problem.params["features.1.weight"])


def test_reset_weights_start_anew_and_the_head_from_what_it_was():
    problem = forget_problems.problem(Kind.SAMPLES, recipe={"steps": 1})
    given = LocalizedParameters(strategy="shallowest", parameter_share=SHARE, learning_rate=1e-9)

    result = run.forget(METHOD, problem, given)

    drift = {name: float((result.params[name] - problem.params[name]).abs().max()) for name in problem.params}
    assert drift["features.1.weight"] > 0.1
    assert drift["head.weight"] < 1e-6


@pytest.mark.parametrize("step", [*Step])
def test_most_of_a_class_is_forgotten_and_the_rest_is_not(step):
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), train_counts=(40, 40, 40, 40))
    is_gone = problem.tuning.labels.numpy() == 1
    result = run.forget(METHOD, problem, LocalizedParameters(step=step, budget=1.0, retain_weight=0.8))

    assert accuracy_of(problem, result.params, problem.tuning.take(is_gone.nonzero()[0])) <= 0.4
    assert accuracy_of(problem, result.params, problem.tuning.take((~is_gone).nonzero()[0])) >= 0.9


@pytest.mark.parametrize("strategy", [Strategy.DEL, Strategy.CRIT_MEM])
def test_finding_the_weights_is_paid_from_the_budget(strategy):
    problem = forget_problems.problem(Kind.CLASS, train_counts=(60, 60, 60, 60))
    total = 0.1 * forget_problems.NUM_STEPS * 240

    result = run.forget(METHOD, problem, LocalizedParameters(strategy=strategy))

    passes = result.diagnostics["num_locating_passes"]
    assert 0 < passes <= total / 2
    assert passes + 32 * result.parameters["num_steps"] <= total


@pytest.mark.parametrize("build", [forget_problems.mlp, forget_problems.cnn])
@pytest.mark.parametrize("step", [*Step])
def test_half_precision_comes_back_in_half_precision(step, build):
    problem = forget_problems.problem(Kind.SAMPLES, build=build)
    make = problem.build
    halved = dataclasses.replace(
        problem,
        build=lambda: make().to(torch.bfloat16),
        params={
            name: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
            for name, tensor in problem.params.items()
        },
    )

    result = run.forget(METHOD, halved, LocalizedParameters(step=step))

    assert result.params["head.weight"].dtype == torch.bfloat16


def test_the_record_holds_what_the_step_chose():
    result = run.forget(METHOD, forget_problems.problem(Kind.CLASS), LocalizedParameters(step="random_label"))

    assert result.parameters["adapts_statistics"] is False
    assert result.parameters["retain_weight"] == 0.5
    assert result.parameters["num_steps"] >= 1


@pytest.mark.parametrize("field", ["strategy", "step"])
def test_an_unknown_word_is_refused(field):
    with pytest.raises(ParametersError, match=f"{field} must be one of"):
        LocalizedParameters(**{field: "everywhere"})


def test_a_share_below_the_first_layer_is_refused():
    problem = forget_problems.problem(Kind.SAMPLES)

    with pytest.raises(IneffectiveError, match="larger parameter_share"):
        run.forget(METHOD, problem, LocalizedParameters(strategy="shallowest"))


def test_a_request_that_leaves_nothing_to_train_on_is_refused():
    problem = forget_problems.problem(Kind.SAMPLES)
    nothing = problem.retain.take(torch.empty(0, dtype=torch.int64).numpy())

    with pytest.raises(MissingNeedError, match="no training sample"):
        run.forget(METHOD, dataclasses.replace(problem, retain=nothing))
