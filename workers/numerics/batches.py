"""A set of samples by position, and its batches: what unlearning and audits take in place of data."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.numerics.datasets.base import DatasetSource


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Positions of a source; holds no images, reads them batch by batch.

    Attributes:
        source: where the images are.
        positions: int64 [n], rows of the source's manifest, in the order in which they are read.
    """

    source: DatasetSource
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def labels(self) -> Tensor:
        """int64 [n], on the CPU."""
        return torch.from_numpy(self.source.manifest.labels[self.positions])

    def take(self, indices: NDArray[np.int64]) -> "SampleSet":
        """Return the samples at these indices of this set, in their order."""
        return SampleSet(self.source, self.positions[indices])

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None, *, merge_single: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images float32 [b, C, H, W], labels int64 [b]) on the CPU until every sample was given once.

        Args:
            batch_size: samples in a batch; the last may be smaller.
            generator: shuffles the samples; in order without it.
            merge_single: a last batch of one joins the batch before it. Batch norm cannot train on one sample
                whose feature map is one pixel, and dropping it would lose a sample of every epoch.

        Raises:
            DatasetRowError: a row cannot be read.
        """
        size = len(self)
        order = torch.arange(size) if generator is None else torch.randperm(size, generator=generator)
        for start, end in pairwise([*self._starts(batch_size, merge_single), size]):
            indices = order[start:end]
            yield self.source.images(self.positions[indices.numpy()]), self.labels[indices]

    def num_batches(self, batch_size: int, *, merge_single: bool = False) -> int:
        """Return how many batches `batches` yields."""
        return len(self._starts(batch_size, merge_single))

    def _starts(self, batch_size: int, merge_single: bool) -> list[int]:
        starts = list(range(0, len(self), batch_size))
        if merge_single and len(starts) > 1 and len(self) - starts[-1] == 1:
            starts.pop()
        return starts
