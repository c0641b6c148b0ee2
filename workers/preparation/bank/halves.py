"""Which half of the training samples each member of a reference bank learns from.

Members 2j and 2j + 1 are a *pair*: what one learns from, the other does not. So each sample is out of exactly
half of a bank of whole pairs. Halves that are drawn freely leave some sample in every member, and nothing
can then be said of it.

The deal. What belongs to one person is dealt as one *unit*, where the manifest names subjects, and any other
sample is a unit of its own: a model without one photograph of a person and with the others still knows that
person, and is no reference for a model without any. Units are sorted by class (that of most of their samples)
and size, then by a hash of seed, pair and first row, and go to the two halves in turn. So without subjects
the halves differ by at most one sample, and by at most one of each class.

All training rows of the manifest are dealt, those excluded among them: leaving rows out moves no other row,
and a member trained later still complements its partner.
"""

import numpy as np
from numpy.typing import NDArray

from workers.numerics import seeding
from workers.numerics.datasets.base import Manifest


def learned(manifest: Manifest, member: int, seed: int) -> NDArray[np.bool_]:
    """Return which training rows a member learns from, [n] as in `manifest.positions("train")`.

    Args:
        manifest: whose training rows are dealt.
        member: its number; the last bit says which half of its pair's deal is its own.
        seed: of the bank.
    """
    rows = manifest.positions("train")
    units = _units(manifest, rows)  # [n], numbered from 0
    num_units = int(units.max()) + 1 if len(rows) else 0
    sizes = np.bincount(units, minlength=num_units)
    firsts = np.full(num_units, len(rows))
    np.minimum.at(firsts, units, np.arange(len(rows)))
    hashes = np.array(
        [seeding.derive(seed, "halves", member // 2, int(rows[first])) for first in firsts], dtype=np.int64
    )
    order = np.lexsort((hashes, -sizes, _most_frequent(manifest.labels[rows], units, num_units)))
    half = np.empty(num_units, dtype=np.int64)
    half[order] = np.arange(num_units) % 2
    return np.asarray(half[units] == member % 2)


def _units(manifest: Manifest, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the unit of each training row, [n]: a subject's rows share one."""
    if manifest.subject_ids is None:
        return np.arange(len(rows))
    subjects = manifest.subject_ids[rows]
    alone = np.char.add("row/", np.arange(len(rows)).astype(str))
    names = np.where(subjects == "", alone, np.char.add("subject/", subjects))
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _most_frequent(labels: NDArray[np.int64], units: NDArray[np.int64], num_units: int) -> NDArray[np.int64]:
    """Return the class of most samples of each unit, the lowest of equals; [num_units]."""
    pairs, counts = np.unique(np.stack([units, labels]), axis=1, return_counts=True)
    found = np.zeros(num_units, dtype=np.int64)
    for place in np.lexsort((-pairs[1], counts)):  # the last that is written has the largest count
        found[pairs[0, place]] = pairs[1, place]
    return found
