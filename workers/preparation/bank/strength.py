"""How much a reference bank can still tell: it weakens with every deletion, and says when it is too weak.

A deleted sample retires the half of the members that learned from it. Two deletions leave about a quarter,
and the samples that are left are out of ever fewer of those. What one mean and one deviation rest on is the
number of members that never saw the sample, so that number is the bank's strength.
"""

import numpy as np

from workers.audit.reference.bank import ReferenceBank, Rows
from workers.audit.reference.matching import MIN_OUT


def strength(bank: ReferenceBank, positions: Rows) -> Rows:
    """Return how many members never saw each sample, 0 where the bank does not know it; [len(positions)]."""
    found = bank.rows_of(positions)
    counts = np.zeros(len(positions), dtype=np.int64)
    counts[found >= 0] = bank.num_out[found[found >= 0]]
    return counts


def is_weak(bank: ReferenceBank, num_members: int) -> bool:
    """Return whether the bank should grow before it is asked again.

    It is weak with fewer than half of the members that it shall have, with a sample that too few of them
    never saw for any judgement, and without samples or controls.
    """
    if not len(bank.positions) or not len(bank.control_positions):
        return True
    return 2 * len(bank) < num_members or int(bank.num_out.min()) < MIN_OUT
