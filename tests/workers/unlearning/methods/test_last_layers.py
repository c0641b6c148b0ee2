"""CF-k and EU-k leave all but the last layers as they are; EU-k draws those anew."""

import pytest
import torch

from tests.fixtures import forget_problems
from workers.unlearning import registry, run
from workers.unlearning.base import Kind
from workers.unlearning.training import fresh

METHODS = registry.discover()


@pytest.mark.parametrize("name", ["cf_k", "eu_k"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_only_the_last_layers_move(name, num_layers):
    problem = forget_problems.problem(Kind.CLASS, build=forget_problems.cnn)
    moving = {"head.weight", "head.bias"} | (
        {"features.8.weight", "features.8.bias"} if num_layers == 2 else set()
    )

    result = run.forget(METHODS[name], problem, METHODS[name].Parameters(num_layers=num_layers))

    moved = {key for key, before in problem.params.items() if not torch.equal(result.params[key], before)}
    assert {key for key in moved if "running" not in key and "batches" not in key} == moving
    assert result.parameters["num_layers"] == num_layers


@pytest.mark.parametrize("name", ["cf_k", "eu_k"])
def test_more_layers_than_there_are_means_all(name):
    problem = forget_problems.problem(Kind.CLASS)

    result = run.forget(METHODS[name], problem, METHODS[name].Parameters(num_layers=99))

    assert result.parameters["num_layers"] == 2


def test_eu_k_starts_from_fresh_weights():
    problem = forget_problems.problem(Kind.CLASS)
    slow = METHODS["eu_k"].Parameters(num_layers=1, learning_rate=1e-9)

    result = run.forget(METHODS["eu_k"], problem, slow)

    assert torch.allclose(result.params["head.weight"], fresh.initial(problem)["head.weight"], atol=1e-6)


def test_eu_k_keeps_statistics_if_asked_to():
    problem = forget_problems.problem(Kind.CLASS, build=forget_problems.cnn)

    result = run.forget(METHODS["eu_k"], problem, METHODS["eu_k"].Parameters(adapts_statistics=False))

    assert all(
        torch.equal(result.params[key], problem.params[key]) for key in problem.params if "running" in key
    )
