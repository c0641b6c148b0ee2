"""The door to the methods refuses impossible problems and unusable results."""

import dataclasses
from dataclasses import dataclass

import pytest
import torch

from tests.fixtures import forget_problems
from workers.unlearning import run
from workers.unlearning.base import Guarantee, Kind, UnlearnResult
from workers.unlearning.errors import (
    DeviceMemoryError,
    DivergedError,
    ImpossibleRequestError,
    UnsupportedKindError,
)


@pytest.fixture(scope="module")
def problem():
    """A class request on a trained network."""
    return forget_problems.problem(Kind.CLASS, classes=(1,))


@dataclass(frozen=True)
class Nothing:
    """Nothing to choose."""


@dataclass(frozen=True)
class Stub:
    """A method that returns what it is told to."""

    returned: object = None
    kinds: frozenset = frozenset({Kind.CLASS, Kind.SAMPLES})
    name = "stub"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    needs = frozenset()
    summary = ""
    caveats = ()
    experimental = None
    Parameters = Nothing

    def forget(self, problem, parameters):
        if isinstance(self.returned, Exception):
            raise self.returned
        return UnlearnResult(params=problem.params if self.returned is None else self.returned, parameters={})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"classes": ()}, "at least one class"),
        ({"classes": (4,)}, r"0\.\.3, got \[4\]"),
        ({"classes": (-1,)}, r"got \[-1\]"),
        ({"classes": (1,), "forgotten_classes": (1,)}, r"classes \[1\] were forgotten earlier"),
        ({"classes": (0, 1), "forgotten_classes": (2, 3)}, "every class"),
    ],
)
def test_an_impossible_class_request_is_refused(problem, changes, reason):
    with pytest.raises(ImpossibleRequestError, match=reason):
        run.forget(Stub(), dataclasses.replace(problem, **changes))


def test_a_request_for_no_sample_is_refused(problem):
    nobody = dataclasses.replace(
        problem, kind=Kind.SAMPLES, classes=(), forget=problem.forget.take(problem.forget.positions[:0])
    )

    with pytest.raises(ImpossibleRequestError, match="at least one training sample"):
        run.forget(Stub(), nobody)


def test_a_kind_that_the_method_does_not_serve_is_refused(problem):
    with pytest.raises(UnsupportedKindError, match="serves requests for samples, got one for class"):
        run.forget(Stub(kinds=frozenset({Kind.SAMPLES})), problem)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensor: tensor * torch.nan, "non-finite"),
        (lambda tensor: tensor.double(), "float64"),
        (lambda tensor: tensor[:1], "must keep"),
    ],
)
def test_unusable_weights_are_refused(problem, change, reason):
    name = next(iter(problem.params))
    returned = {**problem.params, name: change(problem.params[name])}

    with pytest.raises(DivergedError, match=reason):
        run.forget(Stub(returned), problem)


def test_a_missing_tensor_is_refused_by_name(problem):
    name = next(iter(problem.params))
    returned = {key: tensor for key, tensor in problem.params.items() if key != name}

    with pytest.raises(DivergedError, match=name):
        run.forget(Stub(returned), problem)


def test_a_full_device_may_be_tried_again(problem):
    with pytest.raises(DeviceMemoryError) as caught:
        run.forget(Stub(torch.OutOfMemoryError("full")), problem)

    assert caught.value.is_retryable
