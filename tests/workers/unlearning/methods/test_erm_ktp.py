"""The class's output and channels are silent, and stay so while the student learns."""

import pytest
import torch
from torch import nn

from tests.fixtures import forget_problems
from workers.unlearning import run
from workers.unlearning.base import Kind
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.features import Listener
from workers.unlearning.methods.erm_ktp import METHOD, ErmKtpParameters


def test_the_last_layer_reads_nothing_for_the_class_and_no_forbidden_channel():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))

    result = run.forget(METHOD, problem)

    weight, before = result.params["head.weight"], problem.params["head.weight"]
    silent = (weight == 0).all(0)
    assert not weight[1].any() and result.params["head.bias"][1] == 0
    assert 0 < int(silent.sum()) == result.diagnostics["num_forbidden"]
    others = [0, 2, 3]
    assert torch.equal(weight[others][:, ~silent], before[others][:, ~silent])


def test_forbidden_channels_fade_from_the_features():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), recipe={"epochs": 60, "batch_size": 8})
    listener = Listener(problem.build(), "head")
    images = problem.forget.source.images(problem.forget.positions)

    result = run.forget(METHOD, problem, ErmKtpParameters(budget=1.0, learning_rate=0.2))

    silent = (result.params["head.weight"] == 0).all(0)
    before, after = (
        listener.features(
            lambda x, state=state: torch.func.functional_call(listener.model, state, (x,)), images
        )
        for state in (problem.params, result.params)
    )
    assert after[:, silent].mean() < 0.7 * before[:, silent].mean()


def test_a_student_may_start_from_nothing():
    problem = forget_problems.problem(Kind.CLASS)

    warm, cold = (
        run.forget(METHOD, problem, ErmKtpParameters(is_fresh=each)).params for each in (False, True)
    )

    assert torch.equal(warm["head.weight"], cold["head.weight"])
    assert not torch.equal(warm["features.1.weight"], cold["features.1.weight"])


def test_a_head_of_convolutions_before_a_pool_is_a_last_layer_too():
    build = lambda num_classes: nn.Sequential(  # noqa: E731
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, num_classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    problem = forget_problems.problem(Kind.CLASS, build=build)

    result = run.forget(METHOD, problem)

    assert not result.params["2.weight"][0].any()


def test_a_network_without_a_row_a_class_is_refused():
    build = lambda num_classes: nn.Sequential(  # noqa: E731
        nn.Flatten(), nn.Linear(16, num_classes), nn.LogSoftmax(1)
    )

    with pytest.raises(IneffectiveError, match="one row a class"):
        run.forget(METHOD, forget_problems.problem(Kind.CLASS, build=build))
