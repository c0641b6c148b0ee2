"""Exact forgetting leaves out everything ever forgotten and adds nothing of its own."""

import numpy as np
import pytest
import torch

from tests.fixtures import forget_problems
from workers.unlearning import run
from workers.unlearning.base import Kind
from workers.unlearning.errors import MissingNeedError
from workers.unlearning.methods.retrain import METHOD


def test_everything_ever_forgotten_is_left_out():
    heard = []
    params = forget_problems.problem(Kind.SAMPLES).params

    def train(excluded):
        heard.append(excluded)
        return params

    problem = forget_problems.problem(Kind.SAMPLES, forgotten=np.array([7, 3]), retrain=train)

    result = run.forget(METHOD, problem)

    assert result.params is params
    assert heard[0].tolist() == sorted({3, 7, *problem.forget.positions.tolist()})
    assert result.diagnostics["num_excluded"] == len(heard[0])


def test_the_result_is_that_of_a_training_that_never_saw_the_samples():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))

    result = run.forget(METHOD, problem)

    fresh = problem.retrain(problem.forget.positions)
    assert all(torch.equal(result.params[name], fresh[name]) for name in fresh)


def test_a_model_without_a_recipe_is_refused():
    with pytest.raises(MissingNeedError, match="recipe"):
        run.forget(METHOD, forget_problems.problem(Kind.SAMPLES, retrain=None))


def test_a_request_that_leaves_nothing_to_train_on_is_refused():
    problem = forget_problems.problem(Kind.SAMPLES)
    everything = problem.retain.take(np.empty(0, dtype=np.int64))

    with pytest.raises(MissingNeedError, match="no training sample"):
        run.forget(METHOD, forget_problems.problem(Kind.SAMPLES, retain=everything))
