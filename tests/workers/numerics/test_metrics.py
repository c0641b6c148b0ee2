"""The numbers that audits rest on, against values worked out by hand or by a plain loop."""

import math

import numpy as np
import pytest
import torch

from workers.numerics import architectures, metrics, params
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.digits import open_digits
from workers.numerics.metrics import MetricError


def test_logits_come_in_the_order_of_the_set_whatever_the_batch_size():
    source = open_digits()
    samples = SampleSet(source, source.manifest.positions("test")[:7][::-1])
    model = architectures.small_cnn(width=2)

    logits, labels = metrics.logits_of(model, params.state_of(model), samples, batch_size=3)
    whole, _ = metrics.logits_of(model, params.state_of(model), samples, batch_size=100)

    assert logits.shape == (7, 10) and torch.allclose(logits, whole, atol=1e-6)
    assert torch.equal(labels, samples.labels)
    assert model.training


def test_logits_of_no_samples_are_an_error():
    source = open_digits()
    model = architectures.small_cnn(width=2)

    with pytest.raises(MetricError, match="at least one sample"):
        metrics.logits_of(model, params.state_of(model), SampleSet(source, np.array([], dtype=np.int64)))


def test_accuracy_counts_the_highest_logit():
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0], [5.0, 5.0]])
    labels = torch.tensor([0, 1, 1, 0])

    assert metrics.accuracy(logits, labels) == 0.75
    assert metrics.per_class_accuracy(logits, labels) == {0: 1.0, 1: 0.5}


def test_accuracy_of_nothing_is_an_error():
    with pytest.raises(MetricError, match="at least one sample"):
        metrics.accuracy(torch.empty(0, 3), torch.empty(0, dtype=torch.int64))


def test_confidence_is_the_log_odds_of_the_label():
    logits = torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.float64)
    probability = float(logits.softmax(1)[0, 1])

    confidence = metrics.confidence(logits, torch.tensor([1]))

    assert float(confidence[0]) == pytest.approx(math.log(probability / (1 - probability)))


def test_confidence_stays_finite_where_the_probability_is_one():
    confidence = metrics.confidence(torch.tensor([[500.0, 0.0], [-500.0, 0.0]]), torch.tensor([0, 0]))

    assert confidence.tolist() == [500.0, -500.0]


def test_a_head_of_one_class_has_no_confidence_to_tell():
    assert metrics.confidence(torch.tensor([[3.0], [1.0]]), torch.tensor([0, 0])).tolist() == [0.0, 0.0]


def test_cross_entropy_is_given_a_sample():
    losses = metrics.cross_entropy(torch.tensor([[0.0, 0.0], [100.0, 0.0]]), torch.tensor([1, 0]))

    assert losses.tolist() == pytest.approx([math.log(2), 0.0])


def test_auc_counts_pairs_and_half_of_the_ties():
    positive, negative = torch.tensor([1.0, 2.0, 2.0, float("inf")]), torch.tensor([0.0, 2.0, 3.0])
    pairs = [(p > n) + 0.5 * (p == n) for p in positive.tolist() for n in negative.tolist()]

    interval = metrics.auc(positive, negative, seed=0)

    assert interval.value == pytest.approx(sum(pairs) / len(pairs))
    assert (interval.num_positive, interval.num_negative) == (4, 3)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_the_interval_is_about_as_wide_as_theory_says():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(2, 400, generator=generator)

    interval = metrics.auc(scores[0], scores[1], seed=0)

    # Without a difference the standard error is sqrt((p + q + 1) / 12pq) = 0.0204 (Mann and Whitney 1947).
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * 0.0204, rel=0.1)
    assert interval.low < 0.5 < interval.high


def test_the_same_seed_gives_the_same_interval():
    scores = torch.rand(2, 30, generator=torch.Generator().manual_seed(0))

    assert metrics.auc(scores[0], scores[1], seed=1) == metrics.auc(scores[0], scores[1], seed=1)
    assert metrics.auc(scores[0], scores[1], seed=1) != metrics.auc(scores[0], scores[1], seed=2)


@pytest.mark.parametrize("negative", [[], [float("nan")]])
def test_auc_needs_scores_on_both_sides(negative):
    with pytest.raises(MetricError, match="expected scores"):
        metrics.auc(torch.tensor([1.0]), torch.tensor(negative), seed=0)
