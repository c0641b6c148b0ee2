"""Five samples teach a class to features that hold it, and not so well to features that never saw it."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.fixtures import forget_problems
from workers.audit.resurrection import relearning
from workers.audit.resurrection.evidence import gather
from workers.audit.resurrection.relearning import SHOTS, relearn
from workers.numerics.softmax_regression import Objective, minimise
from workers.unlearning.base import Kind

PROBLEM = forget_problems.problem(Kind.CLASS, classes=(1,))


def evidence(num_of_class=12):
    return gather(
        1,
        hidden=(),
        of_class=PROBLEM.forget.take(np.arange(num_of_class)),
        retain=PROBLEM.retain,
        tuning=None,
        unseen=PROBLEM.tuning.take(np.flatnonzero(PROBLEM.tuning.labels.numpy() != 1)),
        seed=0,
    )


def changed(**tensors):
    return {**PROBLEM.params, **tensors}


def test_the_span_of_what_is_learned_holds_the_whole_solution():
    random = torch.Generator().manual_seed(0)
    learned, others = (torch.randn(num, 60, generator=random, dtype=torch.float64) for num in (12, 9))
    labels = torch.arange(12) % 3

    spanned, seen = relearning._in_their_span(learned, others)

    assert spanned.shape == (12, 12)
    whole, part = (
        minimise(Objective(rows, labels, 3, relearning.L2), rows.new_zeros(3, rows.shape[1]), 1e-10)[0]
        for rows in (learned, spanned)
    )
    assert torch.allclose(others @ whole.T, seen @ part.T, atol=1e-8)


def test_features_that_hold_the_class_relearn_it():
    found = relearn(PROBLEM.build, PROBLEM.params, evidence(), seed=0)

    assert len(found.curve) == len(SHOTS) and found.last > 0.9


def test_what_the_last_layer_says_plays_no_part():
    drawn = changed(**{"head.weight": torch.randn(4, 24), "head.bias": torch.tensor([0.0, -1e4, 0.0, 0.0])})

    assert relearn(PROBLEM.build, drawn, evidence(), 0) == relearn(
        PROBLEM.build, PROBLEM.params, evidence(), 0
    )


def test_features_that_tell_less_relearn_less():
    crowded = PROBLEM.params["features.1.weight"].clone()
    crowded[2:] = 0.0  # two units of 24 are left

    found = relearn(PROBLEM.build, changed(**{"features.1.weight": crowded}), evidence(), seed=0)

    assert found.last < relearn(PROBLEM.build, PROBLEM.params, evidence(), seed=0).last - 0.1


def test_the_size_of_the_features_is_of_no_account():
    larger = {
        name: tensor * (64.0 if name.startswith("features") else 1.0)
        for name, tensor in PROBLEM.params.items()
    }

    found = relearn(PROBLEM.build, larger, evidence(), seed=0)

    assert found.curve == pytest.approx(relearn(PROBLEM.build, PROBLEM.params, evidence(), seed=0).curve)


def test_the_same_seed_draws_the_same_samples_and_nothing_is_changed():
    before = {name: tensor.clone() for name, tensor in PROBLEM.params.items()}

    once, again = (relearn(PROBLEM.build, PROBLEM.params, evidence(), seed=3) for _ in range(2))

    assert once == again
    assert all(torch.equal(tensor, PROBLEM.params[name]) for name, tensor in before.items())


def test_a_network_that_does_not_end_in_a_linear_layer_cannot_be_asked():
    def build():
        return nn.Sequential(PROBLEM.build(), nn.LogSoftmax(1))

    params = {f"0.{name}": tensor for name, tensor in PROBLEM.params.items()}

    assert relearn(build, params, evidence(), seed=0) is None


def test_a_class_with_nothing_beyond_what_is_learned_cannot_be_asked():
    assert relearn(PROBLEM.build, PROBLEM.params, evidence(num_of_class=5), seed=0) is None


def test_features_that_are_all_zero_cannot_be_asked():
    dead = changed(
        **{name: tensor * 0 for name, tensor in PROBLEM.params.items() if name.startswith("features")}
    )

    assert relearn(PROBLEM.build, dead, evidence(), seed=0) is None


def test_half_precision_is_asked_in_float32():
    half = {name: tensor.half() for name, tensor in PROBLEM.params.items()}

    found = relearn(lambda: PROBLEM.build().half(), half, evidence(), seed=0)

    assert found.last > 0.9
