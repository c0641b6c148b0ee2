"""A repair wins back what was broken, on retained samples alone, and the same way every time."""

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics import metrics
from workers.unlearning.base import Kind
from workers.unlearning.errors import DivergedError
from workers.unlearning.training.repair import BATCH_SIZE, Course, repair

WHOLE = Course(3, 0.1)


def broken_and_repaired(course=WHOLE, build=forget_problems.mlp, **changes):
    problem = forget_problems.problem(Kind.CLASS, build=build, **changes)
    shrunk = {name: 0.2 * t if name.startswith("head") else t for name, t in problem.params.items()}
    return problem, shrunk, repair(problem.build(), shrunk, problem.retain, course, seed=0)


def loss_of(problem, params):
    logits, labels = metrics.logits_of(problem.build(), params, problem.retain)
    return float(metrics.cross_entropy(logits, labels).mean())


def test_a_repair_lowers_the_loss_on_what_remains():
    problem, shrunk, repaired = broken_and_repaired()

    assert loss_of(problem, repaired) < loss_of(problem, shrunk)


def test_a_repair_reads_retained_samples_only_and_no_more_than_asked():
    problem, _, _ = broken_and_repaired(Course(2, 0.1), train_counts=(60, 60, 60, 60))

    assert len(problem.retain.source.rows_read) == 2 * BATCH_SIZE
    assert problem.retain.source.rows_read <= {*problem.retain.positions.tolist()}


def test_a_repair_goes_through_few_samples_again():
    problem, shrunk, repaired = broken_and_repaired(Course(30, 0.1))
    once = repair(problem.build(), shrunk, problem.retain, Course(1, 0.1), seed=0)

    assert loss_of(problem, repaired) < loss_of(problem, once)


def test_a_repair_leaves_its_inputs_and_all_buffers_as_they_are():
    problem, shrunk, repaired = broken_and_repaired(build=forget_problems.cnn)
    before = {name: tensor.clone() for name, tensor in shrunk.items()}

    repair(problem.build(), shrunk, problem.retain, Course(3, 0.1), seed=0)

    assert all(torch.equal(before[name], shrunk[name]) for name in before)
    assert all(
        repaired[name] is shrunk[name] for name in shrunk if "running" in name or "num_batches" in name
    )


def test_the_same_seed_repairs_to_the_same_bytes_and_another_does_not():
    problem, shrunk, repaired = broken_and_repaired(train_counts=(60, 60, 60, 60))

    again, other = (repair(problem.build(), shrunk, problem.retain, WHOLE, seed=seed) for seed in (0, 1))

    assert all(torch.equal(repaired[name], again[name]) for name in again)
    assert not torch.equal(repaired["head.weight"], other["head.weight"])


def test_a_repair_that_diverges_says_so():
    with pytest.raises(DivergedError, match="smaller learning rate"):
        broken_and_repaired(Course(3, 1e30), train_counts=(40, 40, 40, 40))


def test_half_precision_weights_are_repaired_and_stay_half():
    problem = forget_problems.problem(Kind.CLASS)
    halves = {name: tensor.half() for name, tensor in problem.params.items()}

    repaired = repair(problem.build().half(), halves, problem.retain, Course(3, 0.1), seed=0)

    assert {tensor.dtype for tensor in repaired.values()} == {torch.float16}
    assert not torch.equal(repaired["head.weight"], halves["head.weight"])


def test_progress_rises_to_one():
    problem = forget_problems.problem(Kind.CLASS, train_counts=(40, 40, 40, 40))
    heard = []

    repair(problem.build(), problem.params, problem.retain, Course(2), seed=0, progress=heard.append)

    assert heard == [0.5, 1.0]
