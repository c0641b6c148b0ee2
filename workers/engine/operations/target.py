"""From what a request names to rows of the manifest."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from workers.engine.messages import Group
from workers.numerics.datasets.base import Manifest

At = Callable[[str], Callable[[float], None]]
"""From a stage's name to the listener of its progress."""

Positions = NDArray[np.int64]


def positions_array(positions: Sequence[int]) -> Positions:
    """Return positions as the numerical side wants them."""
    return np.asarray(positions, dtype=np.int64)


def rows_of(manifest: Manifest, group: Group) -> Positions:
    """Return every row a group names, ascending: training samples of its classes, and its positions.

    A sample that was held out counts when it is named: it may not serve calibration any longer.
    """
    train = manifest.positions("train")
    of_classes = train[np.isin(manifest.labels[train], group.classes)]
    return np.union1d(of_classes, positions_array(group.positions))


def training_rows_of(manifest: Manifest, group: Group) -> Positions:
    """Return the rows of a group that the model learned from, ascending."""
    return np.intersect1d(rows_of(manifest, group), manifest.positions("train"))


def all_rows(manifest: Manifest, groups: Iterable[Group], forgotten: Sequence[int]) -> Positions:
    """Return every row that is forgotten once these groups are: theirs, and the earlier ones."""
    gone = positions_array(forgotten)
    for group in groups:
        gone = np.union1d(gone, rows_of(manifest, group))
    return gone
