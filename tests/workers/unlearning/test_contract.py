"""What every unlearning method promises, held against each one that the folder scan finds."""

import dataclasses
import functools
import json

import pytest
import torch

from tests.fixtures import forget_problems
from workers.unlearning import registry, run
from workers.unlearning.base import Guarantee, Kind
from workers.unlearning.errors import ImpossibleRequestError

METHODS = registry.discover()
SERVED = [(name, kind) for name, method in METHODS.items() for kind in sorted(method.kinds)]
SHAPES = {
    "plain": {},
    "two outputs": {"train_counts": (12, 12), "holdout_counts": (6, 6)},
    "a class with one sample": {"train_counts": (1, 12, 12, 12), "holdout_counts": (0, 6, 6, 6)},
    "batch norm": {"build": forget_problems.cnn},
    "several classes": {"classes": (2, 0)},
}

every_method_and_kind = pytest.mark.parametrize(("name", "kind"), SERVED)
every_shape = pytest.mark.parametrize("shape", SHAPES)


@functools.cache
def problem(kind, shape="plain"):
    return forget_problems.problem(kind, **SHAPES[shape])


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@every_method_and_kind
@every_shape
def test_the_result_is_finite_and_of_the_same_names_shapes_and_dtypes(name, kind, shape):
    given = problem(kind, shape)

    result = run.forget(METHODS[name], given)

    assert result.params.keys() == given.params.keys()
    for tensor_name, before in given.params.items():
        after = result.params[tensor_name]
        assert (after.shape, after.dtype) == (before.shape, before.dtype)
        assert torch.isfinite(after).all()
    assert not same(result.params, given.params)


@every_method_and_kind
def test_the_inputs_are_never_changed(name, kind):
    given = problem(kind, "batch norm")
    copies = [{key: tensor.clone() for key, tensor in tensors.items()} for tensors in everything_of(given)]
    codes = given.codes.clone()

    run.forget(METHODS[name], given)

    originals = everything_of(given)
    assert all(same(copy, original) for copy, original in zip(copies, originals, strict=True))
    assert torch.equal(codes, given.codes)


@every_method_and_kind
def test_the_same_seed_gives_the_same_bytes(name, kind):
    first, second = (run.forget(METHODS[name], forget_problems.problem(kind)) for _ in range(2))

    assert same(first.params, second.params)
    assert first.parameters == second.parameters


@every_method_and_kind
def test_the_record_names_every_parameter_and_is_json(name, kind):
    method = METHODS[name]

    result = run.forget(method, problem(kind))

    assert {field.name for field in dataclasses.fields(method.Parameters)} <= result.parameters.keys()
    assert json.loads(json.dumps(dict(result.parameters), allow_nan=False)) == result.parameters
    assert json.dumps(dict(result.diagnostics), allow_nan=False)


@every_method_and_kind
def test_progress_ends_at_one(name, kind):
    heard = []

    run.forget(METHODS[name], forget_problems.problem(kind, progress=heard.append))

    assert heard == sorted(heard) and heard[-1] == 1.0


@pytest.mark.parametrize("name", [name for name, kind in SERVED if kind is Kind.CLASS])
def test_every_class_at_once_is_refused_for_good(name):
    given = forget_problems.problem(Kind.CLASS, classes=(0, 1, 2, 3))

    with pytest.raises(ImpossibleRequestError, match="withdraw the model") as caught:
        run.forget(METHODS[name], given)

    assert not caught.value.is_retryable


@every_method_and_kind
def test_batch_norm_statistics_are_kept_unless_the_record_says_otherwise(name, kind):
    given = problem(kind, "batch norm")

    result = run.forget(METHODS[name], given)

    statistics = [key for key in given.params if "running" in key]
    is_kept = all(torch.equal(given.params[key], result.params[key]) for key in statistics)
    assert statistics
    may_move = METHODS[name].guarantee is Guarantee.EXACT or result.parameters.get("adapts_statistics")
    assert is_kept != bool(may_move)


def everything_of(given):
    """Return the weights and all that is known of the classes, live."""
    by_class, by_code = given.class_information, given.code_information
    return (
        given.params,
        *(by_class.fetch(label) for label in by_class.counts),
        *(by_code.fetch(label) for label in by_code.counts),
    )
