"""Forgotten samples are held against unseen ones of their class, with intervals that keep their promise."""

import numpy as np
import pytest
from scipy import stats

from tests.fixtures.audit_outputs import answers
from workers.audit.comparison import Comparison, Stratum


def slow_auc(forget, unseen):
    """Sample by sample, against its own class only."""
    wins = []
    for odds, label in zip(forget.log_odds, forget.labels, strict=True):
        rivals = unseen.log_odds[unseen.labels == label]
        wins.append(
            sum(1.0 if odds > each else 0.5 if odds == each else 0.0 for each in rivals) / len(rivals)
        )
    return sum(wins) / len(wins)


def drawn(num_forget, num_unseen, shift, seed):
    random = np.random.default_rng(seed)
    strata = tuple(
        Stratum(random.normal(shift, 1.0, f), random.normal(0.0, 1.0, u))
        for f, u in zip(num_forget, num_unseen, strict=True)
    )
    return Comparison(strata, 0, seed)


def test_the_auc_is_that_of_all_pairs_of_one_class():
    forget = answers([0, 0, 1, 2, 2, 2], [3.0, 1.0, 2.0, 0.0, 5.0, 2.0])
    unseen = answers([0, 0, 1, 1, 2], [2.0, 0.0, 1.0, 4.0, 2.0])

    comparison = Comparison.of(forget, unseen, seed=0)

    assert comparison.auc().value == pytest.approx(slow_auc(forget, unseen))
    assert comparison.surplus().value == pytest.approx(
        np.mean([3 - 1, 1 - 1, 2 - 2.5, 0 - 2, 5 - 2, 2 - 2]), abs=1e-9
    )


def test_an_easy_class_does_not_pass_for_memory():
    forget = answers([0] * 9, 9.0)
    unseen = answers([0] * 9 + [1] * 90, [9.0] * 9 + [1.0] * 90)

    assert Comparison.of(forget, unseen, seed=0).auc().value == 0.5


def test_samples_without_a_counterpart_are_left_out_and_counted():
    comparison = Comparison.of(answers([0, 3], [1.0, 1.0]), answers([0], [0.0]), seed=0)

    assert (comparison.num_forget, comparison.num_unmatched) == (1, 1)
    assert "1 without any" in comparison.sizes


def test_the_same_seed_gives_the_same_interval():
    assert drawn([20], [30], 0.3, 5).auc() == drawn([20], [30], 0.3, 5).auc()


@pytest.mark.parametrize(("num_forget", "num_unseen"), [([60], [20]), ([3] * 5, [15] * 5), ([6], [20])])
def test_intervals_hold_the_truth_about_as_often_as_they_say(num_forget, num_unseen):
    num_runs = 60

    estimates = [drawn(num_forget, num_unseen, 0.0, seed).auc() for seed in range(num_runs)]

    num_held = sum(each.low <= 0.5 <= each.high for each in estimates)
    # 95 % promised; below 85 % of 60 runs would happen to an honest interval in 1 of 500 cases
    assert num_held >= 51


def test_the_detectable_auc_is_detected_about_as_often_as_it_says():
    detectable = drawn([40], [40], 0.0, 0).detectable_auc
    shift = stats.norm.ppf(detectable) * np.sqrt(2)

    estimates = [drawn([40], [40], shift, seed).auc() for seed in range(60)]

    share_noticed = np.mean([each.low > 0.5 for each in estimates])
    assert 0.65 <= share_noticed <= 0.95


def test_few_samples_can_show_little():
    assert drawn([3], [18], 0.0, 0).detectable_auc > 1
    assert drawn([20], [180], 0.0, 0).detectable_auc < 0.75
    assert Comparison((), 4, 0).detectable_auc == float("inf")
