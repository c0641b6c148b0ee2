"""What a model says of training samples and controls: log odds of the label, cut as the audit cuts them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from workers.audit.outputs import SATURATION
from workers.audit.reference.bank import Scores
from workers.numerics import metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params

Positions = NDArray[np.int64]


def of_samples(model: nn.Module, params: Params, source: DatasetSource, positions: Positions) -> Scores:
    """Return the log odds of each row's own label; float32 [n].

    Raises:
        DatasetRowError: a row cannot be read.
    """
    return of_labels(model, params, source, positions, source.manifest.labels[positions])


def of_labels(
    model: nn.Module, params: Params, source: DatasetSource, positions: Positions, labels: Positions
) -> Scores:
    """Return the log odds of a label a row; float32 [n]. A row that stands several times is run once.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    if not len(positions):
        return np.empty(0, dtype=np.float32)
    rows, places = np.unique(positions, return_inverse=True)
    logits, _ = metrics.logits_of(model, params, SampleSet(source, rows))
    odds = metrics.confidence(logits.double()[torch.from_numpy(places)], torch.from_numpy(labels))
    return odds.clamp(-SATURATION, SATURATION).float().numpy()
