"""A search tries all strengths on a few samples and the best on all; a repair takes the best that forgot."""

import pytest

from tests.fixtures import forget_problems
from workers.numerics.importance import Importance
from workers.unlearning import apportioning, trials
from workers.unlearning.base import Kind
from workers.unlearning.errors import DivergedError, IneffectiveError
from workers.unlearning.judges import ClassJudge
from workers.unlearning.training.repair import Course

RHOS = (0.1, 0.2, 0.3, 0.5, 0.8, 1.0)


def setting(**changes):
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), **changes)
    (part,) = apportioning.parts(problem, Importance.PER_SAMPLE)
    return problem, part.shares()


def grid(shares):
    return [shares.strength(rho, dampening) for rho in RHOS for dampening in (0.1, 1.0)]


def test_the_best_strength_comes_first_and_those_that_change_nothing_are_left_out():
    problem, shares = setting()

    ranked = trials.search(shares, problem.params, grid(shares), ClassJudge.of(problem, (1,)))

    assert ranked[0].opinion.is_good
    assert [each.rank for each in ranked] == sorted(each.rank for each in ranked)
    assert all(each.strength.rho < 1.0 for each in ranked)


def test_only_the_finalists_are_tried_on_all_samples(monkeypatch):
    problem, shares = setting(holdout_counts=(40, 40, 40, 40))
    monkeypatch.setattr(trials, "NUM_COARSE_KEPT", 30)
    sizes = []
    judge = ClassJudge.of(problem, (1,))
    monkeypatch.setattr(
        ClassJudge,
        "__call__",
        lambda self, params, ask=ClassJudge.__call__: sizes.append(len(self.kept)) or ask(self, params),
    )

    ranked = trials.search(shares, problem.params, grid(shares), judge)

    assert sizes.count(120) == len(ranked) == trials.NUM_FINALISTS
    assert sizes[: -trials.NUM_FINALISTS] == [30] * (len(sizes) - trials.NUM_FINALISTS)


def test_strengths_that_change_nothing_are_no_result():
    problem, shares = setting()

    with pytest.raises(IneffectiveError, match="smaller rho"):
        trials.search(shares, problem.params, [shares.strength(1.0, 1.0)], None)


@pytest.mark.parametrize(("converges_at", "taken"), [(0.5, 0.25), (0.1, 0.0625), (0.01, None)])
def test_a_repair_that_diverges_is_tried_again_more_gently(monkeypatch, converges_at, taken):
    problem, shares = setting()
    ranked = trials.search(shares, problem.params, grid(shares), None)

    def repair(model, params, samples, course, *, seed, progress):
        if course.learning_rate > converges_at:
            raise DivergedError("too fast")
        return params

    monkeypatch.setattr(trials, "repair", repair)
    asked = problem, problem.build(), shares, problem.params, ranked, None, Course(10, 1.0)

    if taken is None:
        with pytest.raises(DivergedError, match="smaller repair_rate"):
            trials.repaired(*asked)
    else:
        assert trials.repaired(*asked)[0].course == Course(10, taken)


def test_a_candidate_tells_how_it_came_about():
    problem, shares = setting()
    judge = ClassJudge.of(problem, (1,))
    ranked = trials.search(shares, problem.params, grid(shares), judge)

    found, _ = trials.repaired(
        problem, problem.build(), shares, problem.params, ranked, judge, Course(2, 0.01)
    )

    assert found.to_json()["repair"] == {"num_steps": 2, "learning_rate": 0.01}
    assert ranked[0].to_json()["repair"] is None
    assert "repaired=0.01" in str(found) and "retained=" in str(found)
