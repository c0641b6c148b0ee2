"""Takes a class's logit down by its own row of the last layer, as far as wanted, and touches no other logit.

The logit is linear in the row, so how far is a division and not a search:

    z_F(x; w - lambda d) = z_F(x; w) - lambda sum_i d_i dz_F/dw_i

The direction d is that of one-shot forgetting: the amplitude's shape within the row (`amplitude`), with the
sign of the logit's gradient.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from workers.numerics.params import Params
from workers.unlearning.amplitude import Amplitude


@dataclass(frozen=True, eq=False)
class OutputRow:
    """One class's row in each tensor of the last layer, and where it goes.

    Attributes:
        label: the class.
        names: of all tensors of the last layer.
        amplitudes: name -> d as the shape, in [-1, 1], of the row's shape; tensors whose row the forgotten
            code's loss does not depend on are absent, and stay.
    """

    label: int
    names: frozenset[str]
    amplitudes: Mapping[str, Amplitude]

    @classmethod
    def of(cls, label: int, gradients: Params, amplitudes: Mapping[str, Amplitude]) -> "OutputRow":
        """Combine the gradients of the logit (`output_layer.row_gradients`) with the amplitudes."""
        rows = {}
        for name, gradient in gradients.items():
            if name not in amplitudes:
                continue
            row = amplitudes[name].shape[label]
            peak = float(row.max())
            if peak > 0:
                signed = torch.sign(gradient).to(row.dtype) * row / peak
                rows[name] = Amplitude(signed, amplitudes[name].log_peak + math.log(peak))
        return cls(label, frozenset(gradients), rows)

    def slope(self, gradients: Params) -> float:
        """Return by how much the logit falls for lambda = 1, where these are its gradients; 0 without any."""
        return sum(
            float((amplitude.shape.double() * gradients[name].double()).sum())
            for name, amplitude in self.amplitudes.items()
            if name in gradients
        )

    def lowered(self, params: Params, lambda_1: float, lambda_2: float) -> Params:
        """Return the weights with the row moved by Equation 5, sign -; nothing else moves."""
        moved = {**params}
        for name, amplitude in self.amplitudes.items():
            moved[name] = params[name].clone()
            moved[name][self.label] = amplitude.moved(params[name][self.label], -1, lambda_1, lambda_2)
        return moved
