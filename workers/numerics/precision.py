"""The number format that a pass over data computes in; sums and results are float32 in either.

bfloat16 is autocast's: products of matrices and convolutions take inputs rounded to 8 bits of mantissa and
float32's range, which squares of gradients need; norms, softmax, loss and every sum stay float32. float16 is
not offered: the gradients of samples that a network is sure of are zero in it.
"""

from contextlib import AbstractContextManager
from enum import StrEnum

import torch


class Precision(StrEnum):
    """What products are computed in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context in which a forward pass is run."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self is Precision.BFLOAT16)
