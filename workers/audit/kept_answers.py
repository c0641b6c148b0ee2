"""What a version answered about its data, taken while nobody waits: saves audits the base model's pass.

The base model of a request is the version that is served. It says the same of a sample whatever is forgotten,
so its logits are taken when the version is studied, and an audit computes the candidate's alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.audit.errors import AuditError


@dataclass(frozen=True, eq=False)
class KeptAnswers:
    """Logits of one version.

    Attributes:
        positions: int64 [n], manifest rows, ascending.
        logits: float32 [n, num_classes].
    """

    positions: NDArray[np.int64]
    logits: NDArray[np.float32]

    def about(self, positions: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Return the logits of these rows, [len(positions), num_classes]; None unless all are kept."""
        if not len(self.positions):
            return None
        found = np.minimum(np.searchsorted(self.positions, positions), len(self.positions) - 1)
        if not np.array_equal(self.positions[found], positions):
            return None
        return self.logits[found].astype(np.float64)

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the answers as named tensors, for a file of them."""
        return {"positions": torch.from_numpy(self.positions), "logits": torch.from_numpy(self.logits)}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "KeptAnswers":
        """Read what `to_tensors` gave.

        Raises:
            AuditError: a part is missing, or the parts do not belong together.
        """
        missing = [name for name in ("positions", "logits") if name not in tensors]
        if missing or len(tensors["positions"]) != len(tensors["logits"]):
            raise AuditError(
                f"expected kept answers with a row of logits for each position, got {sorted(tensors)}: "
                "have the version studied anew"
            )
        return cls(tensors["positions"].cpu().numpy(), tensors["logits"].cpu().numpy())
