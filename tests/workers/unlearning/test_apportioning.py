"""What remains is set against each class in turn, from what is kept or measured anew."""

import dataclasses

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics.importance import Importance
from workers.numerics.information import ClassInformation
from workers.unlearning import apportioning
from workers.unlearning.base import Kind
from workers.unlearning.errors import MissingNeedError


def share_of(problem, label, leaving, name="head.weight"):
    """The share as its definition has it, in float64, the other leaving classes left out."""
    known = problem.class_information
    amount = {c: known.counts[c] * known.fetch(c)[name].double() for c in known.counts}
    total = sum(amount[c] for c in amount if c == label or c not in leaving)
    return torch.where(total > 0, amount[label] / total, 0.0)


def test_each_class_is_held_against_itself_and_those_that_remain():
    problem = forget_problems.problem(Kind.CLASS, classes=(2, 0))

    parts = apportioning.parts(problem, Importance.PER_SAMPLE)

    assert [part.label for part in parts] == [0, 2]
    for part in parts:
        shares = part.shares()
        expected = share_of(problem, part.label, (0, 2)).float()
        torch.testing.assert_close(shares.rho["head.weight"], expected, rtol=1e-4, atol=1e-6)
        assert shares.fraction == 12 / 36


def test_the_kept_information_is_not_changed():
    problem = forget_problems.problem(Kind.CLASS, classes=(2, 0))
    known = problem.class_information
    whole = known.whole()
    shared = ClassInformation(known.counts, known.fetch, lambda: whole)
    before = {name: tensor.clone() for name, tensor in whole.items()}

    for part in apportioning.parts(
        dataclasses.replace(problem, class_information=shared), Importance.PER_SAMPLE
    ):
        part.shares()

    assert whole.keys() == before.keys()
    assert all(torch.equal(whole[name], before[name]) for name in before)


@pytest.mark.parametrize("quantity", [Importance.BATCH, Importance.LABEL_FREE])
def test_classes_measured_anew_are_held_against_retained_samples(quantity):
    problem = forget_problems.problem(Kind.CLASS, classes=(2, 0), class_information=None)

    parts = apportioning.parts(problem, quantity)

    assert [part.label for part in parts] == [0, 2]
    assert all(part.shares().fraction == 12 / 36 for part in parts)
    assert problem.retain.source.rows_read == {
        *problem.retain.positions.tolist(),
        *problem.forget.positions.tolist(),
    }


def test_samples_are_held_against_all_that_the_model_knows():
    problem = forget_problems.problem(Kind.SAMPLES)

    (part,) = apportioning.parts(problem, Importance.PER_SAMPLE)

    shares = part.shares()
    assert str(part) == "samples" and shares.fraction == 4 / 48
    assert all(float(rho.max()) <= 1 and float(rho.min()) >= 0 for rho in shares.rho.values())


def test_shares_stay_below_one_where_what_is_kept_is_less_than_the_part():
    problem = forget_problems.problem(Kind.SAMPLES)
    known = problem.class_information
    faint = {c: {n: 1e-3 * t for n, t in known.fetch(c).items()} for c in known.counts}
    stale = ClassInformation.of_means(faint, known.counts)

    (part,) = apportioning.parts(dataclasses.replace(problem, class_information=stale), Importance.PER_SAMPLE)

    assert max(float(rho.max()) for rho in part.shares().rho.values()) == 1.0


def test_information_of_no_remaining_class_is_refused():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))
    known = problem.class_information
    alone = ClassInformation.of_means({1: known.fetch(1)}, known.counts)

    with pytest.raises(MissingNeedError, match="remaining class"):
        apportioning.parts(dataclasses.replace(problem, class_information=alone), Importance.PER_SAMPLE)


def test_an_importance_that_must_be_measured_needs_retained_samples():
    problem = forget_problems.problem(Kind.CLASS)
    problem = dataclasses.replace(problem, retain=problem.retain.take(problem.retain.positions[:0]))

    with pytest.raises(MissingNeedError, match="retain_set"):
        apportioning.parts(problem, Importance.LABEL_FREE)
