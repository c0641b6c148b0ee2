"""Fresh weights follow from the problem's seed, and only what was named is reset."""

import torch

from tests.fixtures import forget_problems
from workers.unlearning.base import Kind
from workers.unlearning.training import fresh


def problem_of(**changes):
    return forget_problems.problem(Kind.CLASS, build=forget_problems.cnn, **changes)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_initial_values_follow_from_the_seed_and_nothing_else():
    first = fresh.initial(problem_of())
    torch.rand(3)
    again, other = fresh.initial(problem_of()), fresh.initial(problem_of(seed=1))

    assert same(first, again)
    assert not same(first, other)


def test_drawing_initial_values_leaves_the_global_generator_alone():
    problem, state = problem_of(), torch.get_rng_state()

    fresh.initial(problem)

    assert torch.equal(torch.get_rng_state(), state)


def test_initial_values_have_the_types_of_the_weights():
    problem = problem_of()
    halves = {name: t.half() if t.is_floating_point() else t for name, t in problem.params.items()}

    drawn = fresh.initial(problem_of(params=halves))

    assert {name: t.dtype for name, t in drawn.items()} == {name: t.dtype for name, t in halves.items()}


def test_a_reset_changes_the_named_tensors_alone():
    problem = problem_of()

    result = fresh.reset(problem, problem.params, ["head.weight"])

    assert torch.equal(result["head.weight"], fresh.initial(problem)["head.weight"])
    assert all(result[name] is t for name, t in problem.params.items() if name != "head.weight")


def test_a_reset_by_masks_changes_what_they_hold():
    problem = problem_of()
    mask = torch.zeros_like(problem.params["head.bias"], dtype=torch.bool)
    mask[2] = True

    result = fresh.reset_where(problem, problem.params, {"head.bias": mask})

    drawn, before = fresh.initial(problem)["head.bias"], problem.params["head.bias"]
    assert torch.equal(result["head.bias"], torch.where(mask, drawn, before))
    assert result["head.weight"] is problem.params["head.weight"]
