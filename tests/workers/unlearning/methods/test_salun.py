"""Only the salient weights move."""

import torch

from tests.fixtures import forget_problems
from workers.unlearning import gradients, run
from workers.unlearning.base import Kind
from workers.unlearning.methods.salun import METHOD, SalunParameters, salient


def test_the_largest_gradients_are_salient_over_all_tensors_together():
    mask = salient({"a": torch.tensor([[0.1, -5.0]]), "b": torch.tensor([3.0, 0.0])}, 0.5)

    assert mask["a"].tolist() == [[False, True]]
    assert mask["b"].tolist() == [True, False]


def test_of_equal_gradients_no_more_than_the_share_are_salient():
    mask = salient({"a": torch.zeros(10)}, 0.25)

    assert int(mask["a"].sum()) == 3


def test_weights_that_are_not_salient_keep_their_bytes():
    problem = forget_problems.problem(Kind.CLASS)
    slopes = gradients.summed(problem.build(), problem.params, problem.forget)
    mask = salient(slopes, 0.1)

    result = run.forget(METHOD, problem, SalunParameters(share=0.1))

    moved = {name: result.params[name] != problem.params[name] for name in mask}
    assert not any((moved[name] & ~mask[name]).any() for name in mask)
    assert any(each.any() for each in moved.values())


def test_retained_samples_weigh_like_forgotten_ones_unless_stated():
    problem = forget_problems.problem(Kind.SAMPLES)  # 4 of 48

    assert run.forget(METHOD, problem).parameters["retain_weight"] == 11
    assert run.forget(METHOD, problem, SalunParameters(retain_weight=1.0)).parameters["retain_weight"] == 1.0
