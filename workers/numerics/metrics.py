"""What a model says about samples: logits, accuracy, loss, confidence, and the AUC of an attack."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from workers.numerics import calling, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params


class MetricError(ValueError):
    """A number was asked of data that cannot give it, such as the accuracy on no samples."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval and the sizes of the two samples it rests on."""

    value: float
    low: float
    high: float
    num_positive: int
    num_negative: int


def logits_of(
    model: nn.Module, params: Params, samples: SampleSet, batch_size: int = 256
) -> tuple[Tensor, Tensor]:
    """Run the model on every sample in evaluation mode.

    Args:
        model: gives the structure; its own values and its train/eval mode are left as they are.
        params: the values; the computation runs on their device.
        samples: [n].
        batch_size: samples a forward pass.

    Returns:
        (logits float32 [n, C], labels int64 [n]), both on the CPU, in the order of `samples`.

    Raises:
        MetricError: there are no samples.
        CallError: the model's output is not one row of logits a sample.
    """
    if len(samples) == 0:
        raise MetricError("expected at least one sample, got none; skip the measure for an empty set")
    with calling.evaluating(model), torch.no_grad():
        logits = [
            calling.logits(model, params, images).float().cpu() for images, _ in samples.batches(batch_size)
        ]
    return torch.cat(logits), samples.labels


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of samples whose highest logit is their label; [n, C], [n]; first of equals.

    Raises:
        MetricError: there are no samples.
    """
    if len(labels) == 0:
        raise MetricError("expected at least one sample, got none; skip the measure for an empty set")
    return float((logits.argmax(1) == labels).double().mean())


def per_class_accuracy(logits: Tensor, labels: Tensor) -> dict[int, float]:
    """Return the accuracy on the samples of each class that occurs in `labels`; [n, C], [n]."""
    present = sorted(set(labels.tolist()))
    return {label: accuracy(logits[labels == label], labels[labels == label]) for label in present}


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each sample's loss -log p_label; [n, C], [n] -> [n]."""
    return nn.functional.cross_entropy(logits, labels, reduction="none")


def confidence(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each sample's log odds log(p_label / (1 - p_label)), from the logits, so that none overflows.

    Carlini et al., "Membership inference attacks from first principles" (2022), section 4, equation 4:
    nearly normal over models where the probability is not. A head of one class knows no other answer; its
    confidence is 0 everywhere.

    Returns:
        [n], of the dtype of `logits` [n, C].
    """
    if logits.shape[1] == 1:
        return torch.zeros_like(logits[:, 0])
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    return own - others


def auc(
    positive: Tensor, negative: Tensor, *, seed: int, level: float = 0.95, num_resamples: int = 1000
) -> Interval:
    """Return the probability that a positive score exceeds a negative one, ties counting half.

    The interval is the percentile bootstrap (Efron 1979) with both samples redrawn. It is too narrow below
    about ten samples and has no width under perfect separation: judge those by `num_positive` and
    `num_negative`.

    Args:
        positive: finite or infinite scores [p].
        negative: scores [q].
        seed: of the bootstrap.
        level: of the interval.
        num_resamples: bootstrap redraws; costs O(p + q) each.

    Raises:
        MetricError: one of the two is empty or holds a NaN.
    """
    if len(positive) == 0 or len(negative) == 0:
        raise MetricError(
            f"expected scores on both sides, got {len(positive)} and {len(negative)}; skip the attack"
        )
    scores = torch.cat([positive, negative]).double().numpy()
    if bool(np.isnan(scores).any()):
        raise MetricError("expected scores that can be ordered, got NaN; check that the logits are finite")
    # Equal scores share a rank, so an AUC needs only how many of each side stand at each rank.
    ranks = rankdata(scores, "dense").astype(np.int64) - 1
    ours, theirs = ranks[: len(positive)], ranks[len(positive) :]
    num_ranks = int(ranks.max()) + 1

    random = np.random.default_rng(seeding.derive(seed, "auc"))
    redrawn = [
        _auc_of_ranks(random.choice(ours, len(ours)), random.choice(theirs, len(theirs)), num_ranks)
        for _ in range(num_resamples)
    ]
    low, high = np.quantile(redrawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(_auc_of_ranks(ours, theirs, num_ranks), float(low), float(high), len(ours), len(theirs))


def _auc_of_ranks(positive: NDArray[np.int64], negative: NDArray[np.int64], num_ranks: int) -> float:
    """Return the AUC of two lists of ranks: the negatives below each positive, half of those beside it."""
    num_positive = np.bincount(positive, minlength=num_ranks)
    num_negative = np.bincount(negative, minlength=num_ranks)
    below = np.cumsum(num_negative) - num_negative
    return float((num_positive * (below + num_negative / 2)).sum() / (len(positive) * len(negative)))
