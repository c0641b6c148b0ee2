"""A budget is met by the longest run of the best-ranked units, and ties are broken the same way each time."""

import pytest
import torch

from workers.unlearning.errors import IneffectiveError
from workers.unlearning.localization import ranks


def taken(scores, sizes, limit):
    return ranks.within(torch.tensor(scores), torch.tensor(sizes), limit).nonzero().flatten().tolist()


def test_the_highest_scores_are_taken():
    assert taken([0.1, 0.4, 0.2, 0.3], [1, 1, 1, 1], 2) == [1, 3]


def test_of_equal_scores_the_first_are_taken():
    assert taken([0.5, 0.5, 0.5, 0.9], [1, 1, 1, 1], 3) == [0, 1, 3]


def test_many_equal_scores_fill_the_budget_exactly():
    assert taken([0.0] * 1000, [1] * 1000, 333) == list(range(333))


def test_a_unit_that_no_longer_fits_ends_the_run():
    assert taken([0.9, 0.8, 0.7], [2, 5, 1], 4) == [0]


def test_a_budget_below_the_first_unit_is_refused_with_its_size():
    with pytest.raises(IneffectiveError, match=r"at least the 5 weights.*got 4: state a larger"):
        taken([0.9, 0.1], [5, 1], 4)


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(IneffectiveError, match="finite gradients"):
        taken([0.9, float("nan")], [1, 1], 1)
