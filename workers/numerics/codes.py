"""Mnemonic codes: one fixed random image a class, learned in training and enough to forget the class by.

"One-shot machine unlearning with mnemonic code" (Yamashita, Yamamoto, Shibata; ACML 2024), Algorithm 1. The
paper draws them from N(0, 1), its experiments from U[0, 1); what matters is that they lie in the network's
own input scale, so raw images in [0, 1] get the uniform law and standardised ones the normal law.
"""

import torch
from torch import Tensor

from workers.numerics import seeding


def draw_codes(num_classes: int, input_shape: tuple[int, int, int], *, normalised: bool, seed: int) -> Tensor:
    """Draw the code of every class; class c's code depends on the seed, the shape and c alone.

    Args:
        num_classes: how many.
        input_shape: (C, H, W) of an image.
        normalised: whether the network sees standardised images (N(0, 1)) or images in [0, 1] (U[0, 1)).
        seed: `TrainingRecipe.code_seed`.

    Returns:
        float32 [num_classes, C, H, W] on the CPU.
    """
    draw = torch.randn if normalised else torch.rand
    return torch.stack(
        [draw(input_shape, generator=seeding.generator(seed, "code", label)) for label in range(num_classes)]
    )
