"""What the log says is subtracted once and to the letter; a repair reads retained samples at its budget."""

import pytest
import torch

from tests.fixtures import forget_problems
from tests.fixtures.forget_problems import TinyLog
from workers.numerics.params import trainable_names
from workers.unlearning import registry, run, subtraction
from workers.unlearning.base import Kind, Recorded
from workers.unlearning.errors import IneffectiveError, MissingNeedError
from workers.unlearning.training import budget

METHODS = registry.discover()
BOTH = pytest.mark.parametrize("name", ["amnesiac", "amnesiac_samples"])


def bare(name):
    """The method's parameters without a repair."""
    return METHODS[name].Parameters(repair_budget=0.0)


@BOTH
def test_without_a_repair_the_weights_lose_the_sum_and_nothing_else_and_no_data_is_read(name):
    problem = forget_problems.problem(Kind.SAMPLES, build=forget_problems.cnn)

    result = run.forget(METHODS[name], problem, bare(name))

    sums = problem.update_log.sum_of(problem.forget.positions, "sample").sums
    for key, before in problem.params.items():
        expected = before - sums[key] if key in sums else before
        assert torch.equal(result.params[key], expected)
    assert not problem.retain.source.rows_read
    assert not result.parameters.get("adapts_statistics")


@BOTH
def test_a_repair_reads_retained_samples_within_its_budget(name):
    problem = forget_problems.problem(Kind.SAMPLES, train_counts=(90, 90, 90, 90))

    result = run.forget(METHODS[name], problem)

    share = METHODS[name].Parameters().repair_budget
    assert result.parameters["repair_steps"] * 64 <= share * budget.training_samples(problem)
    assert problem.retain.source.rows_read <= {*problem.retain.positions.tolist()}


def test_half_precision_weights_are_subtracted_from_in_float32():
    before = {"weight": torch.tensor([1.0]).half(), "kept": torch.ones(1)}
    small = torch.tensor([4.9e-4])  # half a unit in the last place below 1, and a little more in float32

    after = subtraction.subtract(before, {"weight": small})

    assert after["weight"].dtype == torch.float16
    assert torch.equal(after["weight"], (1 - small).half()) and after["kept"] is before["kept"]


@BOTH
def test_without_a_log_the_need_is_missing(name):
    problem = forget_problems.problem(Kind.SAMPLES, update_log=None)

    with pytest.raises(MissingNeedError, match="lethe train --record"):
        run.forget(METHODS[name], problem)


@BOTH
def test_a_log_that_knows_nothing_of_the_forget_set_has_no_effect_to_publish(name):
    class Blank(TinyLog):
        def sum_of(self, positions, granularity):
            return Recorded({key: torch.zeros(one.shape) for key, one in self._like.items()}, 0, 3, 1)

    given = forget_problems.problem(Kind.SAMPLES)
    blank = Blank(given.params, trainable_names(given.build()))

    with pytest.raises(IneffectiveError, match="3 were subtracted before"):
        run.forget(METHODS[name], forget_problems.problem(Kind.SAMPLES, update_log=blank))


@BOTH
def test_samples_in_two_requests_or_in_one_come_to_the_same_weights(name):
    problem = forget_problems.problem(Kind.SAMPLES, num_samples=4)
    halves = [problem.forget.take([0, 1]), problem.forget.take([2, 3])]

    at_once = run.forget(METHODS[name], problem, bare(name)).params
    first = run.forget(METHODS[name], forget_problems.problem(Kind.SAMPLES, forget=halves[0]), bare(name))
    second = run.forget(
        METHODS[name],
        forget_problems.problem(
            Kind.SAMPLES, forget=halves[1], params=first.params, update_log=problem.update_log
        ),
        bare(name),
    )

    assert all(torch.allclose(at_once[key], second.params[key], atol=1e-6) for key in at_once)
