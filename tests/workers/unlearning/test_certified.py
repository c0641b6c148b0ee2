"""Removal by proof: what is claimed holds where retraining is exact, and the budget is kept to the end."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.fixtures import forget_problems
from workers.numerics import gaussian_shift, softmax_regression
from workers.numerics.batches import SampleSet
from workers.numerics.head_state import SOLVED
from workers.preparation import heads
from workers.unlearning import parameters, registry, run
from workers.unlearning.base import Kind
from workers.unlearning.errors import BudgetSpentError, IneffectiveError, MissingNeedError

METHODS = [registry.discover()[name] for name in ("certified_removal", "descent_to_delete")]
NUM_TRAIN = 48
EPSILON, DELTA = 1.0, 1e-5
BUDGET = gaussian_shift.largest_shift(EPSILON, DELTA)

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@functools.cache
def trained():
    return forget_problems.problem(Kind.SAMPLES)


def asking(positions, *, given=None, head=None):
    """The trained problem, asked to forget these of what its head still knows."""
    given = given or trained()
    head = head or given.head
    known = head.positions.numpy()
    return replace(
        given,
        forget=SampleSet(given.retain.source, np.asarray(positions)),
        retain=SampleSet(given.retain.source, np.setdiff1d(known, positions)),
        head=head,
    )


def minimum(problem):
    """The oracle: the head trained from scratch on what remains, as near to its minimum as float64 gets."""
    state = heads.train(problem.build(), problem.params, problem.retain, forget_problems.HEAD).state
    weight, _ = softmax_regression.minimise(state.objective, state.weight, 1e-12)
    return weight


def distance(result, problem):
    """How far the secret weight is from the oracle's, in deviations of the noise."""
    return float((result.head.weight - minimum(problem)).norm()) / forget_problems.HEAD.sigma


some_positions = st.sets(st.integers(0, NUM_TRAIN - 1), min_size=1, max_size=20).map(sorted)


@every_method
@settings(max_examples=15, deadline=None)
@given(positions=some_positions)
def test_the_secret_weight_is_as_near_to_a_retrained_one_as_the_record_says(method, positions):
    problem = asking(positions)

    result = run.forget(method, problem)

    assert distance(result, problem) <= result.parameters["shift"] <= BUDGET


@settings(max_examples=15, deadline=None)
@given(positions=some_positions, seed=st.integers(0, 100))
def test_one_by_one_in_any_order_or_all_at_once_end_at_the_same_minimum(positions, seed):
    method, head, shifts = METHODS[0], trained().head, 0.0
    order = np.random.default_rng(seed).permutation(positions)[:5]

    for position in order:
        result = run.forget(method, asking([position], head=head))
        head, shifts = result.head, shifts + result.parameters["shift"] ** 2
    at_once = run.forget(method, asking(sorted(order)))

    near = forget_problems.HEAD.sigma * (result.parameters["shift"] + at_once.parameters["shift"])
    assert float((head.weight - at_once.head.weight).norm()) <= near
    assert head.spent == pytest.approx(shifts, rel=1e-12) and head.num_removed == len(order)
    assert distance(result, asking(sorted(order))) <= result.parameters["shift"]


@every_method
def test_requests_spend_the_budget_until_the_next_one_is_refused_and_a_training_renews_it(method):
    whole = parameters.read(
        method.Parameters, {"share": 0.7, "max_steps": 1 if method is METHODS[0] else 5000}
    )
    head, spent, num_served = trained().head, [], 0

    with pytest.raises(BudgetSpentError, match="retrain") as caught:
        for position in range(NUM_TRAIN):
            result = run.forget(method, asking([position], head=head), whole)
            head, num_served = result.head, num_served + 1
            spent.append(result.parameters["shift_spent"])
            left = result.parameters["shift_left"]
            assert spent[-1] ** 2 + left**2 == pytest.approx(BUDGET**2)
            assert result.parameters["epsilon_spent"] <= EPSILON

    assert caught.value.code == "budget_spent" and not caught.value.is_retryable
    assert num_served >= 1 and spent == sorted(spent) and spent[-1] <= BUDGET
    anew = heads.train(
        trained().build(), trained().params, asking(range(num_served)).retain, forget_problems.HEAD
    )
    assert run.forget(method, asking([num_served], head=anew.state), whole).head.num_removed == 1


def test_a_stricter_promise_than_the_earlier_ones_counts_what_they_spent():
    head = replace(trained().head, spent=0.01)
    strict = METHODS[0].Parameters(epsilon=0.1)

    with pytest.raises(BudgetSpentError, match=r"epsilon 0\.1"):
        run.forget(METHODS[0], asking([0], head=head), strict)


@every_method
def test_the_noise_follows_from_the_key_and_never_from_the_recorded_seed(method):
    problem = asking([3])

    first = run.forget(method, problem).params
    another_seed = run.forget(method, replace(problem, seed=99)).params
    another_key = run.forget(method, replace(problem, key=b"another key, 32 bytes long too..")).params

    assert all(torch.equal(first[name], another_seed[name]) for name in first)
    assert not torch.equal(first["head.weight"], another_key["head.weight"])


@every_method
def test_only_the_head_changes_and_what_was_removed_leaves_no_row(method):
    given = forget_problems.problem(Kind.CLASS, build=forget_problems.cnn)

    result = run.forget(method, given)

    changed = {name for name in given.params if not torch.equal(given.params[name], result.params[name])}
    assert changed == {"head.weight", "head.bias"}
    assert not np.isin(given.forget.positions, result.head.positions.numpy()).any()
    assert len(result.head.features) == len(given.retain)


def test_what_was_barred_meanwhile_goes_with_the_request():
    problem = asking([0])
    barred = SampleSet(problem.retain.source, problem.retain.positions[1:])

    result = run.forget(METHODS[0], replace(problem, retain=barred))

    assert result.head.num_removed == 2
    assert distance(result, replace(problem, retain=barred)) <= result.parameters["shift"]


def published_by_another_method():
    return replace(asking([0]), head=None)


def without_a_key():
    return replace(asking([0]), key=b"")


def trained_on_other_samples():
    problem = asking([0])
    return replace(problem, head=problem.head.keeping(problem.head.positions > 20))


def with_another_ending():
    def build():
        return nn.Sequential(trained().build(), nn.LogSoftmax(1))

    return replace(asking([0]), build=build)


@every_method
@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (published_by_another_method, "recipe with `head`"),
        (without_a_key, "recipe with `head`"),
        (trained_on_other_samples, "knows 27 of them: retrain"),
        (with_another_ending, "linear head"),
    ],
)
def test_a_model_without_a_proof_is_refused(method, problem, message):
    with pytest.raises(MissingNeedError, match=message):
        run.forget(method, problem())


def test_samples_that_the_head_never_saw_are_no_removal():
    problem = asking([0])
    untouched = replace(problem, retain=SampleSet(problem.retain.source, problem.head.positions.numpy()))

    with pytest.raises(IneffectiveError, match="nothing to remove"):
        run.forget(METHODS[0], untouched)


@pytest.mark.slow
def test_over_many_keys_publications_differ_from_retrained_ones_by_the_shift_alone():
    problem = asking(range(6))
    result = run.forget(METHODS[0], problem, METHODS[0].Parameters(max_steps=1, share=1, epsilon=20))
    exact = minimum(problem)
    apart = result.head.weight - exact
    size = float(apart.norm()) / forget_problems.HEAD.sigma
    keys = [f"key number {index:06d}".encode() for index in range(4000)]

    def along(weight):
        """Publications under many keys, measured from the minimum along the line that tells most."""
        state = result.head.at(weight)
        return np.array([float(((state.published(key) - exact) * apart).sum()) for key in keys]) / (
            float(apart.norm()) * forget_problems.HEAD.sigma
        )

    ours, theirs = along(result.head.weight), along(exact)

    standard_error = np.sqrt(2 / len(keys))
    assert abs(ours.mean() - theirs.mean() - size) < 4 * standard_error
    assert ours.std() == pytest.approx(1, abs=0.05) and theirs.std() == pytest.approx(1, abs=0.05)
    assert size <= result.parameters["shift"] - SOLVED + 1e-9
