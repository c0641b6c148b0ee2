"""From stored pixels to what a network takes: float32 [n, C, H, W], bytes scaled to [0, 1]."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BRIGHTEST_BYTE = 255.0


def as_images(pixels: NDArray[np.uint8] | NDArray[np.floating], *, channels_last: bool = True) -> Tensor:
    """Return stored pixels as new images.

    Args:
        pixels: uint8, divided by 255, or floating point, kept; [n, H, W] is grey.
        channels_last: whether four dimensions are [n, H, W, C] or [n, C, H, W].

    Returns:
        float32 [n, C, H, W], contiguous.
    """
    images = torch.from_numpy(np.array(pixels, dtype=np.float32))
    if pixels.dtype == np.uint8:
        images /= _BRIGHTEST_BYTE
    if images.ndim == 3:
        return images[:, None]
    return images.permute(0, 3, 1, 2).contiguous() if channels_last else images
