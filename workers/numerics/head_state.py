"""What is kept of a head that forgets by proof: its exact weight, which nobody is shown, and its data.

Vocabulary. The *secret weight* is a point near the minimum of the head's objective (`softmax_regression`) on
the samples that remain. A *publication* is that weight plus normal noise of deviation sigma on every entry
(`secret_noise`). The *shift* of a publication is how far the secret weight may be from the minimum, in units
of sigma; *spent* is the sum of the squared shifts published since the head was trained (`gaussian_shift`).

Rules. Features are taken once, when the head is trained, by an extractor that never saw the samples; a
forgotten sample's row goes with the sample. All of this is as private as the data it comes from.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from workers.numerics import secret_noise
from workers.numerics.params import Params
from workers.numerics.softmax_regression import Objective

SOLVED = 1e-4  # of sigma; how near to the minimum a training ends
_NUMBERS = ("l2", "sigma", "spent")


@dataclass(frozen=True, eq=False)
class HeadState:
    """A head between two publications.

    Attributes:
        weight: float64 [num_classes, k], secret; the bias, if there is one, as last column.
        features: float32 [n, num_features] of the remaining samples.
        labels: int64 [n].
        positions: int64 [n], their rows in the manifest.
        l2: penalty of the objective.
        sigma: deviation of the noise.
        spent: sum of the squared shifts since the head was trained.
        num_removed: samples removed since then.
    """

    weight: Tensor
    features: Tensor
    labels: Tensor
    positions: Tensor
    l2: float
    sigma: float
    spent: float = 0.0
    num_removed: int = 0

    @cached_property
    def objective(self) -> Objective:
        """J over the remaining samples."""
        design = self.features.double()
        if self.weight.shape[1] > design.shape[1]:
            design = torch.cat([design, design.new_ones(len(design), 1)], 1)  # [n, k]
        return Objective(design, self.labels, len(self.weight), self.l2)

    def keeping(self, is_kept: Tensor) -> "HeadState":
        """Return the state without the rows where `is_kept`, bool [n], is False; the weight as it is."""
        return replace(
            self,
            features=self.features[is_kept],
            labels=self.labels[is_kept],
            positions=self.positions[is_kept],
            num_removed=self.num_removed + int((~is_kept).sum()),
        )

    def at(self, weight: Tensor, spent: float | None = None) -> "HeadState":
        """Return the state with another secret weight, and with another sum spent unless that stays."""
        return replace(self, weight=weight, spent=self.spent if spent is None else spent)

    def published(self, key: bytes) -> Tensor:
        """Return the weight with its noise; the same each time for the same weight and key."""
        return self.weight + self.sigma * secret_noise.standard_normal(key, self.weight)

    def to_params(self) -> Params:
        """Return all of it as tensors, to be stored. Round trip: `from_params` gives it back."""
        numbers = {
            name: torch.tensor(getattr(self, name), dtype=torch.float64, device=self.weight.device)
            for name in _NUMBERS
        }
        return {
            "weight": self.weight,
            "features": self.features,
            "labels": self.labels,
            "positions": self.positions,
            "num_removed": torch.tensor(self.num_removed, device=self.weight.device),
            **numbers,
        }

    @classmethod
    def from_params(cls, params: Params) -> "HeadState":
        """Read what `to_params` wrote."""
        return cls(
            weight=params["weight"],
            features=params["features"],
            labels=params["labels"],
            positions=params["positions"],
            l2=float(params["l2"]),
            sigma=float(params["sigma"]),
            spent=float(params["spent"]),
            num_removed=int(params["num_removed"]),
        )
