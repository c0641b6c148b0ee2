"""Judges prefer what forgets and keeps the rest, and know a no-op when they see one."""

import dataclasses

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.unlearning.base import Kind
from workers.unlearning.errors import IneffectiveError, MissingNeedError
from workers.unlearning.judges import MIN_MOVEMENT, ClassJudge, SampleJudge


def without_head_row(params, label):
    """Return weights that never answer `label`."""
    bias = params["head.bias"].clone()
    bias[label] = -100.0
    return {**params, "head.bias": bias}


def test_a_model_that_lost_the_class_is_good_and_preferred():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))
    judge = ClassJudge.of(problem, (1,))

    untouched, forgotten = judge(problem.params), judge(without_head_row(problem.params, 1))

    assert forgotten.is_good and not untouched.is_good
    assert untouched.is_affordable and not untouched.has_forgotten
    assert forgotten.order < untouched.order


def test_a_model_that_lost_a_remaining_class_too_is_not_affordable():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))
    judge = ClassJudge.of(problem, (1,))

    broken = judge(without_head_row(without_head_row(problem.params, 1), 2))

    assert broken.has_forgotten and not broken.is_affordable


def test_the_forgotten_class_that_is_recognised_best_decides():
    problem = forget_problems.problem(Kind.CLASS, classes=(0, 1))

    opinion = ClassJudge.of(problem, (0, 1))(without_head_row(problem.params, 1))

    assert not opinion.has_forgotten


def test_a_class_without_held_out_samples_is_judged_on_its_forget_set():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), holdout_counts=(6, 0, 6, 6))

    judge = ClassJudge.of(problem, (1,))

    assert len(judge.gone[0]) == len(problem.forget)


def test_outputs_that_are_not_finite_are_no_opinion():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))
    broken = {**problem.params, "head.bias": torch.full_like(problem.params["head.bias"], torch.nan)}

    assert ClassJudge.of(problem, (1,))(broken) is None
    assert SampleJudge.of(forget_problems.problem(Kind.SAMPLES))(broken) is None


def test_samples_that_did_not_move_were_not_forgotten():
    problem = forget_problems.problem(Kind.SAMPLES)
    judge = SampleJudge.of(problem)
    moved = {
        name: 0.9 * tensor if name == "head.weight" else tensor for name, tensor in problem.params.items()
    }

    assert not judge(problem.params).has_forgotten
    assert judge(moved).has_forgotten
    assert judge(moved).order < judge(problem.params).order
    assert judge(moved).remark.split("movement=")[1] > str(MIN_MOVEMENT)


def test_of_two_movements_within_the_noise_the_larger_wins():
    problem = forget_problems.problem(Kind.SAMPLES)
    judge = SampleJudge.of(problem)
    ranks = []
    for factor in (0.999, 0.99):
        scaled = {n: factor * t if n.startswith("head") else t for n, t in problem.params.items()}
        ranks.append(judge(scaled).order)

    assert ranks[1] < ranks[0]


@pytest.mark.parametrize(("judge", "kind"), [(ClassJudge, Kind.CLASS), (SampleJudge, Kind.SAMPLES)])
def test_without_held_out_samples_there_is_no_judge(judge, kind):
    problem = forget_problems.problem(kind, holdout_counts=(0, 0, 0, 0))

    with pytest.raises(MissingNeedError, match="state the strength"):
        judge.of(problem, (0,)) if kind is Kind.CLASS else judge.of(problem)


def test_a_thinned_judge_looks_at_fewer_samples_and_thinks_alike():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), holdout_counts=(30, 30, 30, 30))

    thinned = ClassJudge.of(problem, (1,)).thinned(num_kept=20, num_gone=10)

    assert len(thinned.kept) <= 20 and len(thinned.gone[0]) <= 10
    assert thinned(without_head_row(problem.params, 1)).has_forgotten
    assert not thinned(problem.params).has_forgotten


def test_mislabelled_samples_are_refused_because_unseen_ones_cannot_tell_what_becomes_of_them():
    problem = forget_problems.problem(Kind.SAMPLES)
    source = problem.forget.source
    labels = source.manifest.labels.copy()
    labels[problem.forget.positions] = (labels[problem.forget.positions] + 1) % 4
    wrong = ReaderSource("wrong", Manifest.of(labels), source.input_shape, source.images)

    with pytest.raises(IneffectiveError, match="retrain exactly"):
        SampleJudge.of(dataclasses.replace(problem, forget=SampleSet(wrong, problem.forget.positions)))
