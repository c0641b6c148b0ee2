"""Each importance against its definition, computed the slow way in float64."""

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics import importance
from workers.numerics.importance import BATCH_SIZE, Importance
from workers.numerics.losses import FisherError
from workers.numerics.params import load_params
from workers.unlearning.base import Kind

NUM_SAMPLES = 2 * BATCH_SIZE + 7


def setting():
    problem = forget_problems.problem(Kind.CLASS, train_counts=(40, 40, 30, NUM_SAMPLES - 110))
    train = problem.retain.source.manifest.positions("train")[::-1].copy()
    return problem, type(problem.retain)(problem.retain.source, train)


def squared_gradients(problem, loss_of, images, labels):
    """The squared gradient of one loss, in float64."""
    model = problem.build()
    load_params(model, problem.params)
    model.double()
    loss_of(model(images.double()), labels).backward()
    return {name: value.grad.square() for name, value in model.named_parameters()}


def mean_of(parts):
    return {name: torch.stack([part[name] for part in parts]).mean(0) for name in parts[0]}


def assert_same(measured, expected):
    for name, tensor in expected.items():
        torch.testing.assert_close(measured[name].double(), tensor, rtol=1e-3, atol=1e-8)


def test_batch_importance_is_the_mean_of_squared_batch_gradients_in_class_order():
    problem, samples = setting()
    ((images, labels),) = samples.batches(len(samples))
    order = torch.argsort(labels, stable=True)
    loss = torch.nn.functional.cross_entropy
    slow = [squared_gradients(problem, loss, images[rows], labels[rows]) for rows in order.split(BATCH_SIZE)]

    measured = importance.measure(Importance.BATCH, problem.build(), problem.params, samples)

    assert len(slow) == 3
    assert_same(measured, mean_of(slow))


@pytest.mark.parametrize(
    ("quantity", "loss"),
    [
        (Importance.PER_SAMPLE, torch.nn.functional.cross_entropy),
        (Importance.LABEL_FREE, lambda logits, labels: logits.square().sum()),
    ],
)
def test_the_other_two_are_means_of_squared_per_sample_gradients(quantity, loss):
    problem, samples = setting()
    ((images, labels),) = samples.batches(len(samples))
    slow = [squared_gradients(problem, loss, images[[i]], labels[[i]]) for i in range(len(samples))]

    measured = importance.measure(quantity, problem.build(), problem.params, samples)

    assert_same(measured, mean_of(slow))


@pytest.mark.parametrize("quantity", [*Importance])
def test_no_samples_at_all_are_refused(quantity):
    problem, samples = setting()
    nobody = type(samples)(samples.source, samples.positions[:0])

    with pytest.raises(FisherError, match="at least one sample"):
        importance.measure(quantity, problem.build(), problem.params, nobody)


@pytest.mark.parametrize("quantity", [*Importance])
def test_weights_that_overflow_are_refused(quantity):
    problem, samples = setting()
    huge = {name: 1e30 * tensor for name, tensor in problem.params.items()}

    with pytest.raises(FisherError):
        importance.measure(quantity, problem.build(), huge, samples)


def test_the_share_done_rises_to_one():
    problem, samples = setting()
    heard = []

    importance.measure(Importance.BATCH, problem.build(), problem.params, samples, heard.append)

    assert len(heard) == 3 and heard == sorted(heard) and heard[-1] == 1.0
