"""What the competition's entries share: noise by size, shares by rank, a course that warms up."""

import dataclasses

import pytest
import torch

from tests.fixtures import forget_problems
from workers.unlearning.base import Kind
from workers.unlearning.training import rebuilding
from workers.unlearning.training.descent import Course
from workers.unlearning.training.rebuilding import RebuildingParameters


def test_noise_has_the_size_asked_for_and_leaves_the_rest():
    problem = forget_problems.problem(Kind.CLASS)
    params = {"wide": 3.0 * torch.randn(200, 200), "zero": torch.zeros(5), "other": torch.ones(5)}

    found = rebuilding.noisy(problem, params, ["wide", "zero"], 0.5, "test")

    assert float((found["wide"] - params["wide"]).std()) == pytest.approx(1.5, rel=0.02)
    assert torch.equal(found["zero"], params["zero"])
    assert found["other"] is params["other"]


def test_noise_follows_from_the_seed_and_the_use():
    problem = forget_problems.problem(Kind.CLASS)
    name = "head.weight"

    def drawn(given, use):
        return rebuilding.noisy(given, given.params, [name], 0.5, use)[name]

    assert torch.equal(drawn(problem, "one"), drawn(problem, "one"))
    assert not torch.equal(drawn(problem, "one"), drawn(problem, "another"))
    assert not torch.equal(drawn(problem, "one"), drawn(dataclasses.replace(problem, seed=1), "one"))


def test_the_smallest_are_an_exact_share_over_all_tensors_and_the_first_of_equals():
    scores = {"a": torch.tensor([[3.0, 1.0], [1.0, 9.0]]), "b": torch.tensor([1.0, 0.5])}

    masks = rebuilding.smallest(scores, 0.5)

    assert masks["a"].tolist() == [[False, True], [True, False]]
    assert masks["b"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (forget_problems.cnn, ("features.0.weight", "features.3.weight", "features.7.weight")),
        (forget_problems.mlp, ("features.1.weight", "head.weight")),
    ],
)
def test_filters_are_convolutions_or_all_matrices(build, expected):
    assert rebuilding.filters(build(4)) == expected


def test_a_budget_counts_what_a_step_costs():
    problem = forget_problems.problem(Kind.CLASS, recipe={"steps": 100, "batch_size": 32})
    parameters = RebuildingParameters(budget=0.5, batch_size=16)

    assert parameters.num_steps(problem) == 100
    assert parameters.num_steps(problem, passes=2) == 50
    assert parameters.num_steps(problem, spent=800) == 50


def test_a_warm_up_rises_to_the_full_rate_and_then_falls_to_zero():
    course = Course(10, 1.0, warmup_share=0.6)

    rates = [course.rate(step) for step in range(10)]

    assert rates[:6] == sorted(rates[:6]) and rates[0] > 0
    assert rates[6] == 1.0 == max(rates)
    assert rates[6:] == sorted(rates[6:], reverse=True) and rates[-1] > 0


def test_without_a_warm_up_the_rate_starts_full():
    assert Course(10, 0.3).rate(0) == 0.3
    assert Course(10, 0.3, is_cosine=False, warmup_share=0.2).rate(9) == 0.3
