"""What is rehearsed: each class, a few random groups of samples, and some that the model knows by heart.

How far a model knows a sample by heart is what learning it is worth: the mean log odds under the bank's
members that learned from it, less the mean under those that did not (Feldman, "Does learning require
memorization?", STOC 2020, the memorisation estimate, here in log odds). Without a bank nobody can tell, and
no memorised group is rehearsed.

Cases come in order of value: one of each kind in turn, so that a budget that ends early has seen all kinds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from workers.audit.reference.bank import ReferenceBank
from workers.numerics import seeding
from workers.preparation.rehearsal.record import CaseKind

NUM_GROUPS = 4
"""Random groups, and as many memorised ones."""
GROUP_SHARE = 0.01
"""Of the training samples in a random group: what the papers forget."""
MIN_GROUP, MAX_GROUP = 5, 100
MEMORISED_GROUP = 10

Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Case:
    """One thing to forget.

    Attributes:
        kind: what it is.
        name: unique in a rehearsal; tells no sample.
        classes: to forget; empty for samples.
        positions: int64 [n], training rows to forget; all of its class for a class.
    """

    kind: CaseKind
    name: str
    classes: tuple[int, ...]
    positions: Positions

    @property
    def label(self) -> int | None:
        """The class, or None."""
        return self.classes[0] if self.classes else None


def draw(
    positions: Positions, labels: NDArray[np.int64], bank: ReferenceBank | None, *, seed: int
) -> list[Case]:
    """Return the cases of one version, the most worth knowing first.

    Args:
        positions: int64 [n], training rows that the version knows.
        labels: int64 [n], theirs.
        bank: says what is memorised; None if there is none.
        seed: of the random groups, and of the order of the classes.
    """
    columns = [
        [*_classes(positions, labels, seed)],
        [*_random_groups(positions, seed)],
        [*_memorised_groups(positions, bank)] if bank is not None else [],
    ]
    return [case for row in zip_longest(*columns) for case in row if case is not None]


def memorised(bank: ReferenceBank) -> NDArray[np.float64]:
    """Return by how much learning a sample raised its log odds; [n], NaN where one side has no member."""
    num_in = bank.is_in.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = np.where(bank.is_in, bank.scores, 0.0).sum(axis=1) / num_in
        outside = np.where(bank.is_in, 0.0, bank.scores).sum(axis=1) / bank.num_out
    return np.asarray(inside - outside, dtype=np.float64)


def _classes(positions: Positions, labels: NDArray[np.int64], seed: int) -> Iterator[Case]:
    present = np.unique(labels)
    if len(present) < 2:
        return  # nothing would remain
    for label in _shuffled(present, seed, "classes"):
        own = positions[labels == label]
        yield Case(CaseKind.CLASS, f"class {label}", (int(label),), own)


def _random_groups(positions: Positions, seed: int) -> Iterator[Case]:
    size = min(max(round(GROUP_SHARE * len(positions)), MIN_GROUP), MAX_GROUP)
    if len(positions) <= size:
        return
    for number in range(NUM_GROUPS):
        chosen = np.sort(_shuffled(positions, seed, "group", number)[:size])
        yield Case(CaseKind.SAMPLES, f"{CaseKind.SAMPLES} {number}", (), chosen)


def _memorised_groups(positions: Positions, bank: ReferenceBank) -> Iterator[Case]:
    worth = memorised(bank)
    is_candidate = np.isfinite(worth) & (worth > 0) & np.isin(bank.positions, positions)
    candidates = np.flatnonzero(is_candidate)
    top = candidates[np.argsort(-worth[candidates], kind="stable")][: NUM_GROUPS * MEMORISED_GROUP]
    num_groups = min(NUM_GROUPS, len(top) // MIN_GROUP)
    for number in range(num_groups):
        # Dealt like cards, so that the groups are memorised alike.
        chosen = np.sort(bank.positions[top[number::num_groups]])
        if len(chosen) < len(positions):
            yield Case(CaseKind.MEMORISED, f"{CaseKind.MEMORISED} {number}", (), chosen)


def _shuffled(values: NDArray[np.int64], seed: int, *names: str | int) -> Positions:
    random = np.random.default_rng(seeding.derive(seed, "rehearsal", *names))
    return np.asarray(random.permutation(values), dtype=np.int64)
