"""The best constant: the one that trying all of them finds, whatever constant was there before."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.fixtures import forget_problems
from workers.audit.resurrection.evidence import Evidence, gather
from workers.audit.resurrection.rescue import PRICES, Gaps, rescue
from workers.numerics.batches import SampleSet
from workers.unlearning.base import Kind

PROBLEM = forget_problems.problem(Kind.CLASS, classes=(1,), holdout_counts=(8, 8, 8, 8))


def evidence(hidden=()):
    tuning, half = PROBLEM.tuning, np.arange(0, len(PROBLEM.tuning), 2)
    return gather(
        1,
        hidden=hidden,
        of_class=PROBLEM.forget,
        retain=PROBLEM.retain,
        tuning=tuning.take(half),
        unseen=tuning.take(half + 1),
        seed=0,
    )


def with_bias(amount, label=1):
    name = "head.bias"
    return {**PROBLEM.params, name: PROBLEM.params[name] + amount * torch.eye(4)[label]}


def test_the_mean_of_both_accuracies_is_that_of_asking_every_sample():
    random = np.random.default_rng(0)
    gaps = Gaps(random.normal(0, 1, 13), random.normal(1, 1, 21).round(1), random.random(21) < 0.8)
    constants = np.array([-3.0, 0.0, 0.5, 1.0, 9.0])

    slow = [
        (
            np.mean([gap < c for gap in gaps.of_class])
            + np.mean([r and g >= c for g, r in zip(gaps.kept, gaps.is_right, strict=True)])
        )
        / 2
        for c in constants
    ]

    assert gaps.balanced(constants) == pytest.approx(slow)


def test_no_constant_is_better_than_the_best():
    random = np.random.default_rng(1)
    gaps = Gaps(random.normal(0, 1, 30), random.normal(1, 1, 50), random.random(50) < 0.9)

    best = gaps.balanced(np.array([gaps.best()]))[0]

    assert best == gaps.balanced(np.linspace(-5, 5, 20_001)).max()


@pytest.mark.parametrize("amount", [-1e4, -3.0, 5.0])
def test_a_constant_that_was_there_already_changes_nothing(amount):
    before = rescue(PROBLEM.build, PROBLEM.params, evidence())

    after = rescue(PROBLEM.build, with_bias(amount), evidence())

    assert after.balanced == pytest.approx(before.balanced, abs=0.03)  # float32 at 10,000 keeps three digits
    assert before.balanced > 0.9


def test_an_output_that_speaks_against_its_own_samples_is_not_rescued():
    weight = PROBLEM.params["head.weight"].clone()
    weight[1] = -weight[1]

    found = rescue(PROBLEM.build, {**PROBLEM.params, "head.weight": weight}, evidence())

    assert found.balanced < rescue(PROBLEM.build, PROBLEM.params, evidence()).balanced - 0.2


def test_the_output_of_a_hidden_class_is_in_nobodys_way():
    loud = with_bias(1e3, label=3)

    assert rescue(PROBLEM.build, loud, evidence(hidden=(3,))).balanced > 0.9
    assert rescue(PROBLEM.build, loud, evidence()).balanced < 0.9


def test_the_curve_rises_with_the_price():
    curve = rescue(PROBLEM.build, PROBLEM.params, evidence()).curve

    assert len(curve) == len(PRICES) and list(curve) == sorted(curve)


def test_two_outputs_are_enough():
    small = forget_problems.problem(Kind.CLASS, classes=(1,), train_counts=(9, 9), holdout_counts=(4, 4))
    found = gather(
        1, hidden=(), of_class=small.forget, retain=small.retain, tuning=None, unseen=small.tuning, seed=0
    )

    assert rescue(small.build, small.params, found).balanced > 0.8


def test_a_class_with_one_sample_is_left_alone():
    one = PROBLEM.forget.take(np.arange(1))
    kept = PROBLEM.retain

    found = Evidence(1, (), (SampleSet(kept.source, np.append(kept.positions, one.positions)), kept), kept)

    assert rescue(PROBLEM.build, PROBLEM.params, found) is None


def test_outputs_that_are_no_numbers_are_left_alone():
    broken = {name: tensor * torch.nan for name, tensor in PROBLEM.params.items()}

    assert rescue(PROBLEM.build, broken, evidence()) is None


def test_a_network_without_a_linear_head_can_be_rescued():
    def build():
        return nn.Sequential(PROBLEM.build(), nn.LogSoftmax(1))

    params = {f"0.{name}": tensor for name, tensor in PROBLEM.params.items()}

    assert rescue(build, params, evidence()).balanced > 0.9
