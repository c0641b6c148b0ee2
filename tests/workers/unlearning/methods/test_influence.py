"""The influence step solves its system, as a dense float64 one says, and is as long as asked."""

import pytest
import torch

from tests.fixtures import forget_problems
from workers.unlearning import gradients, run
from workers.unlearning.base import Kind
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.methods.influence import METHOD, InfluenceParameters, newton


def test_the_step_solves_the_damped_fisher_system():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(5, 9, generator=generator, dtype=torch.float64)
    vector = torch.randn(9, generator=generator, dtype=torch.float64)

    found = newton(rows, vector, damping=0.3)

    fisher = rows.T @ rows / 5
    damped = fisher + 0.3 * fisher.trace() / 5 * torch.eye(9, dtype=torch.float64)
    assert torch.allclose(found, torch.linalg.solve(damped, vector), atol=1e-12)


def test_rows_sum_to_the_summed_gradient():
    problem = forget_problems.problem(Kind.SAMPLES, build=forget_problems.cnn)
    model = problem.build()

    rows = gradients.rows(model, problem.params, problem.forget)

    summed = gradients.summed(model, problem.params, problem.forget)
    # float32 sums in another order
    assert torch.allclose(rows.sum(0), gradients.flat([*summed.values()]), atol=1e-5)
    assert all(
        torch.equal(part, summed[name])
        for name, part in gradients.shaped(gradients.flat([*summed.values()]), summed).items()
    )


def test_a_stated_alpha_scales_the_step_and_needs_no_held_out_data():
    problem = forget_problems.problem(Kind.CLASS, holdout_counts=(0, 0, 0, 0))

    one, two = (
        run.forget(METHOD, problem, InfluenceParameters(alpha=alpha)).params for alpha in (1e-3, 2e-3)
    )

    for name, weight in problem.params.items():
        assert torch.allclose(two[name] - weight, 2 * (one[name] - weight), atol=1e-5)  # of float32 weights


def test_a_small_step_raises_the_forget_sets_loss():
    problem = forget_problems.problem(Kind.CLASS)
    gradient = gradients.summed(problem.build(), problem.params, problem.forget)

    moved = run.forget(METHOD, problem, InfluenceParameters(alpha=1e-4)).params

    along = sum(float((gradient[name] * (moved[name] - problem.params[name])).sum()) for name in gradient)
    assert along > 0


def test_a_forget_set_without_a_gradient_is_refused():
    problem = forget_problems.problem(Kind.CLASS)
    sure = {**problem.params, "head.bias": torch.tensor([1e4, 0.0, 0.0, 0.0])}

    with pytest.raises(IneffectiveError, match="with a gradient"):
        run.forget(METHOD, forget_problems.problem(Kind.CLASS, params=sure))
