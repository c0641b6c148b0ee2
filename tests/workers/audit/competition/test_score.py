"""Points for epsilons, the forgetting score, and the final one."""

import numpy as np
import pytest

from workers.audit.competition.epsilon import epsilons
from workers.audit.competition.score import final_score, forgetting_score, points
from workers.audit.errors import AuditError


def test_each_bucket_has_half_the_points_of_the_one_before():
    found = points(np.array([0.0, 0.49, 0.5, 1.2, 2.7]), num_models=512)

    assert found.tolist() == [1.0, 1.0, 0.5, 0.25, 2 / 2**6]


def test_beyond_what_the_models_can_show_there_are_no_points():
    found = points(np.array([6.99, 7.0, 50.0]), num_models=512)

    assert found.tolist() == [2 / 2**14, 0.0, 0.0]


@pytest.mark.parametrize(
    ("num_models", "shift", "expected", "tolerance"),
    [
        (16, 0.0, 0.154, 0.03),
        (16, 1.0, 0.099, 0.02),
        (64, 0.0, 0.180, 0.03),
        (64, 0.5, 0.100, 0.025),
        (64, 1.0, 0.037, 0.01),
        (64, 2.0, 0.009, 0.003),
    ],
)
def test_normal_scores_have_the_points_that_were_measured(num_models, shift, expected, tolerance):
    random = np.random.default_rng(0)
    ours, theirs = random.normal(shift, 1, (num_models, 300)), random.normal(0, 1, (num_models, 300))

    found = forgetting_score(epsilons(ours, theirs), num_models)

    assert found == pytest.approx(expected, abs=tolerance)


def test_the_final_score_pays_for_lost_accuracy():
    assert final_score(0.18, 0.9, 0.8) == pytest.approx(0.1296)


def test_two_models_a_side_are_refused():
    with pytest.raises(AuditError, match="at least 3 models"):
        points(np.zeros(1), num_models=2)
