"""The reference bank: what models that learned from half of the data say of every sample, and of controls.

A *member* is a model trained by the recipe on half of the training samples. For about half of the members a
sample is *in*, it was learned from; for the others it is *out*: they say of it what a model without it says.
Members come in pairs whose halves complement each other, so a bank of whole pairs has every sample out of
exactly half of its members. A *control* is a held-out sample with a label, its own or a wrong one: no member
and no candidate learned it, so it shows how a candidate differs from the members for any other reason than
memory.

Only scores are kept, never a member's weights. A score is the log odds log p_y - log(1 - p_y) of the
sample's label y, cut at +-30. A member that learned from a sample which is deleted holds something of it, and
so do all its scores: it retires with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.audit.errors import AuditError

FIELDS = ("positions", "scores", "is_in", "members", "control_positions", "control_labels", "control_scores")

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ReferenceBank:
    """Scores of n training samples and m controls under k members.

    Attributes:
        positions: int64 [n], manifest rows, ascending.
        scores: float32 [n, k], log odds of the label.
        is_in: bool [n, k], whether the member learned from the sample.
        members: int64 [k], numbers of the members; two that differ in the last bit alone are a pair.
        control_positions: int64 [m], held-out manifest rows; one may stand several times, with other labels.
        control_labels: int64 [m], the label that the control is scored for.
        control_scores: float32 [m, k].
    """

    positions: Rows
    scores: Scores
    is_in: NDArray[np.bool_]
    members: Rows
    control_positions: Rows
    control_labels: Rows
    control_scores: Scores

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together.

        Raises:
            AuditError: a shape is not as described.
        """
        n, k, m = len(self.positions), len(self.members), len(self.control_positions)
        expected = {"scores": (n, k), "is_in": (n, k), "control_labels": (m,), "control_scores": (m, k)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise AuditError(
                    f"expected a reference bank with {name} of shape {list(shape)}, got "
                    f"{list(getattr(self, name).shape)}: have the bank made anew"
                )

    def __len__(self) -> int:
        return len(self.members)

    @property
    def num_out(self) -> NDArray[np.int64]:
        """Members that never saw the sample; [n]."""
        return np.asarray((~self.is_in).sum(axis=1), dtype=np.int64)

    def rows_of(self, positions: Rows) -> Rows:
        """Return the index of each position in this bank, -1 where it is not there; [len(positions)]."""
        found = np.searchsorted(self.positions, positions)
        found = np.minimum(found, max(len(self.positions) - 1, 0))
        is_there = (
            self.positions[found] == positions if len(self.positions) else np.zeros(len(positions), bool)
        )
        return np.where(is_there, found, -1).astype(np.int64)

    @classmethod
    def empty(cls, positions: Rows, control_positions: Rows, control_labels: Rows) -> "ReferenceBank":
        """Return a bank over these rows and controls that no member has scored yet."""
        n, m = len(positions), len(control_positions)
        return cls(
            positions=positions.copy(),  # a manifest's rows cannot be written to, and a tensor must be
            scores=np.empty((n, 0), np.float32),
            is_in=np.empty((n, 0), np.bool_),
            members=np.empty(0, np.int64),
            control_positions=control_positions,
            control_labels=control_labels,
            control_scores=np.empty((m, 0), np.float32),
        )

    def with_member(
        self, number: int, *, is_in: NDArray[np.bool_], scores: Scores, control_scores: Scores
    ) -> "ReferenceBank":
        """Return the bank with one member more, in the order of their numbers.

        Args:
            number: of the member; none of this bank has it.
            is_in: bool [n], what it learned from.
            scores: float32 [n].
            control_scores: float32 [m].

        Raises:
            AuditError: the number is taken.
        """
        if number in self.members:
            raise AuditError(f"expected a member that the bank lacks, got {number}, which it has: skip it")
        place = int(np.searchsorted(self.members, number))
        return replace(
            self,
            scores=np.insert(self.scores, place, scores, axis=1),
            is_in=np.insert(self.is_in, place, is_in, axis=1),
            members=np.insert(self.members, place, number),
            control_scores=np.insert(self.control_scores, place, control_scores, axis=1),
        )

    def without(self, gone: Rows) -> "ReferenceBank":
        """Return what may be kept once rows are deleted: neither they, nor any member that learned from them.

        Args:
            gone: manifest rows, training or held out, in any order.
        """
        is_gone = np.isin(self.positions, gone)
        stays = ~self.is_in[is_gone].any(axis=0)
        kept = ~np.isin(self.control_positions, gone)
        return replace(
            self,
            positions=self.positions[~is_gone],
            scores=self.scores[~is_gone][:, stays],
            is_in=self.is_in[~is_gone][:, stays],
            members=self.members[stays],
            control_positions=self.control_positions[kept],
            control_labels=self.control_labels[kept],
            control_scores=self.control_scores[kept][:, stays],
        )

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the bank as named tensors, for a file of them."""
        return {name: torch.from_numpy(np.ascontiguousarray(getattr(self, name))) for name in FIELDS}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "ReferenceBank":
        """Read what `to_tensors` gave.

        Raises:
            AuditError: a part is missing, or the parts do not belong together.
        """
        missing = [name for name in FIELDS if name not in tensors]
        if missing:
            raise AuditError(
                f"expected a reference bank with {list(FIELDS)}, {missing} are missing: make it anew"
            )
        return cls(**{name: tensors[name].cpu().numpy() for name in FIELDS})
