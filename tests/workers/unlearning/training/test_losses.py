"""Losses agree with their formulas, written out in float64."""

import math

import pytest
import torch

from workers.unlearning.training import ascent, losses
from workers.unlearning.training.descent import Batch

LABELS = torch.tensor([0, 2, 1])


@pytest.fixture
def logits():
    return 3 * torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def teacher():
    return 3 * torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def batch():
    return Batch(torch.zeros(3, 1, 2, 2, dtype=torch.float64), LABELS, torch.arange(3))


def kl(one, other):
    """KL(one || other), summed over classes, mean over samples."""
    p, q = one.softmax(1), other.softmax(1)
    return float((p * (p / q).log()).sum(1).mean())


def test_cross_entropy_is_the_mean_of_minus_the_log_of_the_label(logits, batch):
    expected = sum(-math.log(row.softmax(0)[label]) for row, label in zip(logits, LABELS, strict=True)) / 3

    assert float(losses.cross_entropy(lambda _: logits, batch)) == pytest.approx(expected)
    assert float(losses.of_one_set(lambda _: logits, [batch])) == pytest.approx(expected)


def test_divergence_is_from_the_teacher_and_summed_over_classes(logits, teacher, batch):
    assert float(losses.divergence(lambda _: logits, batch, teacher)) == pytest.approx(kl(teacher, logits))


def test_a_temperature_divides_both_sides(logits, teacher, batch):
    found = losses.divergence(lambda _: logits, batch, teacher, temperature=4.0)

    assert float(found) == pytest.approx(kl(teacher / 4, logits / 4))


def test_divergence_from_oneself_is_nothing(logits, batch):
    assert float(losses.divergence(lambda _: logits, batch, logits)) == pytest.approx(0, abs=1e-12)


def test_divergence_from_uniform_has_the_uniform_for_a_teacher(logits, batch):
    found = losses.divergence_from_uniform(lambda _: logits, batch)

    assert float(found) == pytest.approx(kl(torch.zeros_like(logits), logits))


def test_a_divergence_pulls_towards_its_teacher(logits, teacher, batch):
    own = logits.clone().requires_grad_()

    losses.divergence(lambda _: own, batch, teacher).backward()

    assert torch.allclose(own.grad, (logits.softmax(1) - teacher.softmax(1)) / 3)


def test_a_sample_at_the_ceiling_has_no_gradient_left(batch):
    own = torch.zeros(3, 4, dtype=torch.float64)
    own[1, 2] = 5.0  # sure of its label; the others only guess
    own.requires_grad_()

    ascent.bounded_surplus(lambda _: own, batch, math.log(4) - 1e-9).backward()

    assert own.grad[1].any()
    assert not own.grad[[0, 2]].any()
