"""A budget is a share of the recorded training, counted in samples passed forward and backward."""

import pytest

from tests.fixtures import forget_problems
from workers.unlearning.base import Kind
from workers.unlearning.training import budget


def problem_of(recipe):
    return forget_problems.problem(Kind.SAMPLES, recipe=recipe)  # of 48 samples


def test_epochs_count_all_samples_that_the_model_learned_from():
    assert budget.training_samples(problem_of({"epochs": 10})) == 480


def test_a_recipe_that_counts_steps_counts_their_batches():
    assert budget.training_samples(problem_of({"steps": 7, "batch_size": 5, "epochs": 10})) == 35


@pytest.mark.parametrize("recipe", [{}, {"steps": None}])
def test_a_recipe_that_says_nothing_is_one_of_twenty_epochs(recipe):
    assert budget.training_samples(problem_of(recipe)) == 20 * 48


def test_steps_never_cost_more_than_the_share():
    problem = problem_of({"epochs": 10})

    assert budget.num_steps(problem, 0.1, 16) == 3  # 48 samples
    assert budget.num_steps(problem, 0.1, 17) == 2


def test_what_was_spent_before_is_taken_off():
    assert budget.num_steps(problem_of({"epochs": 10}), 0.1, 16, spent=17) == 1


def test_a_budget_too_small_for_a_step_allows_one():
    assert budget.num_steps(problem_of({"epochs": 10}), 1e-6, 64, spent=1000) == 1
