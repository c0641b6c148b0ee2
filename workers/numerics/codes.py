"""Mnemonic codes: one fixed random image a class, learned in training and enough to forget the class by.

"One-shot machine unlearning with mnemonic code" (Yamashita, Yamamoto, Shibata; ACML 2024), Algorithm 1. The
paper draws them from N(0, 1), its experiments from U[0, 1); what matters is that they lie in the network's
own input scale, so raw images in [0, 1] get the uniform law and standardised ones the normal law.

A code depends on the seed, the shape and its class alone, so codes are never passed around for training: they
are drawn when a batch needs them, and as many as fit into a bounded memory are kept.
"""

from functools import lru_cache

import torch
from torch import Tensor

from workers.numerics import seeding

KEPT_BYTES = 64 * 2**20
"""Of codes, by one `CodeBook`: all those of a thousand classes up to 74 x 74 pixels of three channels."""


class CodeBook:
    """The codes of all classes, each drawn when it is first asked for.

    Args:
        input_shape: (C, H, W) of an image.
        normalised: whether the network sees standardised images (N(0, 1)) or images in [0, 1] (U[0, 1)).
        seed: `TrainingRecipe.code_seed`.
    """

    def __init__(self, input_shape: tuple[int, int, int], *, normalised: bool, seed: int) -> None:
        self._shape = input_shape
        self._draw = torch.randn if normalised else torch.rand
        self._seed = seed
        bytes_each = 4 * max(1, torch.Size(input_shape).numel())
        self._kept = lru_cache(maxsize=KEPT_BYTES // bytes_each)(self._drawn)

    def of(self, labels: Tensor) -> Tensor:
        """Return the code of each label, int64 [n] -> float32 [n, C, H, W] on the CPU, in new memory."""
        if len(labels) == 0:
            return torch.empty(0, *self._shape)
        return torch.stack([self._kept(label) for label in labels.tolist()])

    def mixed(self, images: Tensor, labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """Return a batch in which each image was replaced by its class's code with probability `share`.

        Algorithm 1, its inner loop.

        Args:
            images: float32 [n, C, H, W] on the CPU; not changed.
            labels: int64 [n].
            share: t_mix.
            generator: decides which; n numbers are drawn from it.
        """
        replaced = torch.nonzero(torch.rand(len(labels), generator=generator) < share)[:, 0]
        return images.index_copy(0, replaced, self.of(labels[replaced]))

    def _drawn(self, label: int) -> Tensor:
        return self._draw(self._shape, generator=seeding.generator(self._seed, "code", label))


def draw_codes(num_classes: int, input_shape: tuple[int, int, int], *, normalised: bool, seed: int) -> Tensor:
    """Draw the codes of classes 0 to num_classes - 1; the arguments are those of `CodeBook`.

    Returns:
        float32 [num_classes, C, H, W] on the CPU.
    """
    return CodeBook(input_shape, normalised=normalised, seed=seed).of(torch.arange(num_classes))
