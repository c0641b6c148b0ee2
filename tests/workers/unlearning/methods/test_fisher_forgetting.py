"""Noise is as loud as the equation says, and reads no more than it needs."""

import torch

from tests.fixtures import forget_problems
from workers.numerics.fisher import diagonal_fisher
from workers.unlearning import run
from workers.unlearning.base import Kind
from workers.unlearning.methods.fisher_forgetting import FLOOR, METHOD, FisherForgettingParameters


def test_a_class_request_with_a_stated_alpha_reads_no_data():
    problem = forget_problems.problem(Kind.CLASS)

    run.forget(METHOD, problem, FisherForgettingParameters(alpha=0.01))

    assert problem.retain.source.rows_read == set()


def test_noise_follows_the_fourth_root_of_the_retained_fisher():
    problem = forget_problems.problem(Kind.SAMPLES)
    fisher = diagonal_fisher(problem.build(), problem.params, problem.retain.batches(8))
    every = torch.cat([each.flatten() for each in fisher.values()])

    result = run.forget(METHOD, problem, FisherForgettingParameters(alpha=0.01))

    drawn = torch.cat(
        [
            (
                (result.params[name] - problem.params[name])
                / 0.01
                * each.clamp(min=FLOOR * every.mean()) ** 0.25
            ).flatten()
            for name, each in fisher.items()
        ]
    )
    known = every > 1e-3 * every.mean()  # where a difference of float sums is a number still
    # a few hundred standard normal numbers: mean and deviation within four standard errors
    count = int(known.sum())
    assert abs(float(drawn[known].mean())) < 4 / count**0.5
    assert abs(float(drawn[known].std()) - 1) < 4 / (2 * count) ** 0.5


def test_twice_the_alpha_is_twice_the_same_noise():
    problem = forget_problems.problem(Kind.CLASS)

    one, two = (
        run.forget(METHOD, problem, FisherForgettingParameters(alpha=alpha)).params for alpha in (0.01, 0.02)
    )

    for name, weight in problem.params.items():
        assert torch.allclose(two[name] - weight, 2 * (one[name] - weight), atol=1e-5)  # of float32 weights
