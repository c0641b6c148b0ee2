"""Abridged retraining reads neither forgotten samples nor old weights, and keeps its budget."""

import dataclasses

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics import metrics
from workers.unlearning import run
from workers.unlearning.base import Kind
from workers.unlearning.errors import MissingNeedError
from workers.unlearning.methods import abridged
from workers.unlearning.methods.abridged import AbridgedParameters

WHOLE = AbridgedParameters(budget=1.0, rate_factor=1.0)


def problem(**changes):
    return forget_problems.problem(Kind.SAMPLES, **changes)


def tuning_logits(given, params):
    return metrics.logits_of(given.build(), params, given.tuning)[0]


def test_the_forgotten_samples_are_never_read():
    given = problem()

    run.forget(abridged.METHOD, given)

    assert given.retain.source.rows_read
    assert not given.retain.source.rows_read & {*given.forget.positions.tolist()}


def test_the_old_weights_have_no_part():
    given = problem()
    opposite = dataclasses.replace(given, params={name: -tensor for name, tensor in given.params.items()})

    first, second = (run.forget(abridged.METHOD, each).params for each in (given, opposite))

    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_steps_stay_within_the_budget():
    given = problem(recipe={"epochs": 200, "batch_size": 8})

    result = run.forget(abridged.METHOD, given)

    passed = 8 * result.parameters["num_steps"]
    allowed = 0.09 * 200 * (len(given.retain) + len(given.forget))
    assert allowed - 8 < passed <= allowed


def test_the_recipe_gives_all_but_the_length_and_the_rate():
    recipe = {"epochs": 3, "batch_size": 8, "learning_rate": 0.02, "momentum": 0.5, "weight_decay": 0.0}

    record = run.forget(abridged.METHOD, problem(recipe=recipe)).parameters

    found = {name: record[name] for name in ("batch_size", "learning_rate", "momentum", "weight_decay")}
    assert found == {"batch_size": 8, "learning_rate": 0.04, "momentum": 0.5, "weight_decay": 0.0}


def test_the_whole_budget_learns_what_the_recipe_learns():
    given = problem(recipe={"epochs": 30, "batch_size": 16})

    params = run.forget(abridged.METHOD, given, WHOLE).params

    assert metrics.accuracy(tuning_logits(given, params), given.tuning.labels) > 0.9


def test_a_frozen_layer_stays():
    def half_frozen(classes):
        network = forget_problems.mlp(classes)
        first = next(network.parameters())
        first.requires_grad_(False)
        return network

    given = problem()
    name = next(iter(dict(given.build().named_parameters())))
    given = dataclasses.replace(given, build=lambda: half_frozen(4))

    after = run.forget(abridged.METHOD, given).params

    assert torch.equal(after[name], given.params[name])
    assert sum(not torch.equal(after[each], given.params[each]) for each in after) == len(after) - 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"retrain": None}, "recipe"), ({"recipe": {"epochs": 3, "initial": 64 * "0"}}, "use retrain")],
)
def test_a_model_that_cannot_be_trained_from_its_beginning_is_refused(changes, reason):
    given = problem(**changes)

    with pytest.raises(MissingNeedError, match=reason):
        run.forget(abridged.METHOD, given)


def test_half_precision_learns_too():
    given = problem(recipe={"epochs": 30, "batch_size": 16})
    halved = {name: tensor.to(torch.bfloat16) for name, tensor in given.params.items()}
    half = lambda: forget_problems.mlp(4).to(torch.bfloat16)  # noqa: E731 - two words
    given = dataclasses.replace(given, params=halved, build=half)

    params = run.forget(abridged.METHOD, given, WHOLE).params

    assert metrics.accuracy(tuning_logits(given, params), given.tuning.labels) > 0.9
