"""SISA trains again what learned from the forgotten, all that was ever forgotten, and reports how much."""

import numpy as np
import pytest

from tests.fixtures import forget_problems
from workers.unlearning import run
from workers.unlearning.base import Guarantee, Kind, Replayed
from workers.unlearning.errors import MissingNeedError
from workers.unlearning.methods.sisa import METHOD


def test_everything_ever_forgotten_is_left_out_of_the_replay():
    heard = []
    params = forget_problems.problem(Kind.SAMPLES).params

    def replay(excluded):
        heard.append(excluded)
        return Replayed(params, num_constituents=5, num_trained=2, steps=100, steps_done=30)

    problem = forget_problems.problem(Kind.SAMPLES, forgotten=np.array([7, 3]), replay=replay)

    result = run.forget(METHOD, problem)

    assert result.params is params
    assert heard[0].tolist() == sorted({3, 7, *problem.forget.positions.tolist()})
    assert (result.diagnostics["num_trained"], result.diagnostics["share_of_training"]) == (2, 0.3)
    assert METHOD.guarantee is Guarantee.EXACT


def test_a_training_that_found_everything_costs_nothing():
    params = forget_problems.problem(Kind.SAMPLES).params
    problem = forget_problems.problem(
        Kind.SAMPLES, replay=lambda excluded: Replayed(params, 5, num_trained=0, steps=0, steps_done=0)
    )

    assert run.forget(METHOD, problem).diagnostics["share_of_training"] == 0


@pytest.mark.parametrize("lacking", ["replay", "retrain"])
def test_a_model_that_was_not_trained_in_shards_or_cannot_be_trained_is_refused(lacking):
    with pytest.raises(MissingNeedError, match="recipe"):
        run.forget(METHOD, forget_problems.problem(Kind.SAMPLES, **{lacking: None}))


def test_a_request_that_leaves_nothing_to_train_on_is_refused():
    problem = forget_problems.problem(Kind.SAMPLES)
    nothing = problem.retain.take(np.empty(0, dtype=np.int64))

    with pytest.raises(MissingNeedError, match="no training sample"):
        run.forget(METHOD, forget_problems.problem(Kind.SAMPLES, retain=nothing))
