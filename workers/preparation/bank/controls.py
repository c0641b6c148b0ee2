"""Which held-out samples a reference bank keeps as controls, and for which labels.

A control is scored for its own label, and for a few wrong ones: a mislabelled training sample has to be held
against something that looks as wrong to a model that never saw it. They come from the odd half of the
holdout, on which a candidate is audited anyway, so that an audit needs no further forward pass for them.
Which rows and labels are taken follows from the seed and the row alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.numerics import seeding
from workers.numerics.datasets.base import Manifest

MAX_ROWS = 1000
NUM_WRONG = 3


@dataclass(frozen=True, eq=False)
class Controls:
    """Held-out rows with labels, in the order of the bank: `positions` and `labels`, both int64 [m]."""

    positions: NDArray[np.int64]
    labels: NDArray[np.int64]


def draw(manifest: Manifest, excluded: NDArray[np.int64], seed: int) -> Controls:
    """Return the controls of a bank.

    Args:
        manifest: whose holdout they are from.
        excluded: rows that are left out; a class without any other training row lends no label.
        seed: of the bank.
    """
    learned = manifest.positions("train")
    classes = np.unique(manifest.labels[learned[~np.isin(learned, excluded)]])
    rows = manifest.positions("holdout")[1::2]
    rows = rows[~np.isin(rows, excluded) & np.isin(manifest.labels[rows], classes)]
    hashes = np.array([seeding.derive(seed, "control", int(row)) for row in rows], dtype=np.int64)
    rows = np.sort(rows[np.argsort(hashes, kind="stable")[:MAX_ROWS]])
    labels = [_labels_of(int(row), int(manifest.labels[row]), classes, seed) for row in rows]
    return Controls(
        positions=np.repeat(rows, [len(own) for own in labels]).astype(np.int64),
        labels=np.concatenate([np.empty(0, np.int64), *labels]).astype(np.int64),
    )


def _labels_of(row: int, label: int, classes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a row's own label and up to NUM_WRONG of the others."""
    others = classes[classes != label]
    hashes = np.array([seeding.derive(seed, "wrong", row, int(other)) for other in others], dtype=np.int64)
    return np.concatenate([[label], others[np.argsort(hashes, kind="stable")[:NUM_WRONG]]])
