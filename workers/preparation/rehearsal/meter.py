"""Counts what a rehearsal costs, in samples processed, and ends what would cost more than it may.

A sample counts one for a forward pass and three where gradients are taken of it, the backward pass being
about twice the forward one. So counted, an epoch of the recipe costs three times its training samples on any
machine, and a rehearsal can be held against it. The count is taken where every method and every check must
pass: at the model's own call.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

FORWARD = 1
FORWARD_AND_BACKWARD = 3

Build = Callable[[], nn.Module]


class TooDearError(Exception):
    """A try costs more than there is left for it; nothing is wrong with the method."""


@dataclass(frozen=True)
class Cost:
    """What was spent, or may be.

    Attributes:
        samples: processed.
        seconds: of wall time; as an allowance, so many at least.
        most_seconds: as an allowance, so many at most, whatever samples are left.
    """

    samples: float
    seconds: float
    most_seconds: float = math.inf

    def covers(self, spent: "Cost") -> bool:
        """Whether this allowance has something left: of its samples, or, on a fast machine, of its time."""
        has_left = spent.samples < self.samples and spent.seconds < self.most_seconds
        return has_left or spent.seconds < self.seconds

    def since(self, earlier: "Cost") -> "Cost":
        """Return what was spent since a moment."""
        return Cost(self.samples - earlier.samples, self.seconds - earlier.seconds)

    def part(self, share: float) -> "Cost":
        """Return a share of it."""
        return Cost(share * self.samples, share * self.seconds, share * self.most_seconds)


class Meter:
    """Counts the samples that pass the models of one architecture.

    Args:
        build: makes the architecture.
        earlier: what was spent before.
    """

    def __init__(self, build: Build, earlier: Cost) -> None:
        self._build = build
        self._earlier = earlier
        self._samples = 0
        self._started_at = time.monotonic()
        self._check: Callable[[], None] = _go_on

    def __deepcopy__(self, _memo: object) -> "Meter":
        """Return itself: the copy of a counted model is counted by the same meter."""
        return self

    @property
    def spent(self) -> Cost:
        """All that was spent, pauses between turns left out."""
        seconds = time.monotonic() - self._started_at
        return Cost(self._earlier.samples + self._samples, self._earlier.seconds + seconds)

    def build(self) -> nn.Module:
        """Return a new model whose calls are counted."""
        model = self._build()
        model.register_forward_pre_hook(self._count)
        return model

    @contextmanager
    def limited(self, whole: Cost, part: Cost) -> Iterator[None]:
        """Bound what the block may cost.

        Args:
            whole: allowed for everything that this meter has seen.
            part: allowed for the block.

        Raises:
            TooDearError: one of the two is spent; what the block was doing is lost.
        """
        began = self.spent

        def check() -> None:
            spent = self.spent
            if not (whole.covers(spent) and part.covers(spent.since(began))):
                raise TooDearError("expected a try within its allowance, got one beyond it")

        self._check = check
        try:
            yield
        finally:
            self._check = _go_on

    def _count(self, _model: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._check()
        images = given[0]  # [n, C, H, W], or [C, H, W] where a function is mapped over samples
        num = images.shape[0] if images.ndim == 4 else 1
        self._samples += num * (FORWARD_AND_BACKWARD if torch.is_grad_enabled() else FORWARD)


def _go_on() -> None:
    """Bound nothing."""
