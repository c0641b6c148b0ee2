"""Says how strongly weights may move before the remaining classes notice, on codes and on held-out samples.

The measure is the mean probability of the true class. It falls before any answer flips, so a handful of codes
can tell harm from none, where counting right answers cannot.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.numerics import calling, seeding
from workers.numerics.params import Params
from workers.unlearning.rehearsal import Panel

FIRST_STRENGTH = 0.03
STRIDE = 4.0  # a coarse step of the search ...
NUM_HALVINGS = 2  # ... and how often it is then halved, on the logarithm
SMALLEST, LARGEST = 1e-6, 1e3


@dataclass(frozen=True, eq=False)
class Guard:
    """What remaining classes said before anything moved.

    Attributes:
        model: the architecture.
        kept: samples of remaining classes: their codes, and held-out samples where there are any.
        before: mean probability of the true class, of each of `kept`.
        gone: codes of classes forgotten earlier, which must not come back.
        awake: share of `gone` that is recognised all the same.
    """

    model: nn.Module
    kept: tuple[Panel, ...]
    before: tuple[float, ...]
    gone: Panel
    awake: float

    @classmethod
    def of(cls, model: nn.Module, params: Params, kept: Sequence[Panel], gone: Panel) -> "Guard":
        """Ask before anything moves; panels without samples are left out."""
        some = tuple(panel for panel in kept if len(panel))
        before = tuple(panel.ask(model, params).mean_probability for panel in some)
        return cls(model, some, before, gone, gone.ask(model, params).accuracy if len(gone) else 0.0)

    def allows(self, params: Params, budget: float) -> bool:
        """Tell whether no panel's mean probability fell by more than the budget, and no forgotten class woke.

        Outputs that are not finite are never allowed.
        """
        for panel, before in zip(self.kept, self.before, strict=True):
            answers = panel.ask(self.model, params)
            if not (answers.is_finite and answers.mean_probability >= before - budget):
                return False
        return not len(self.gone) or self.gone.ask(self.model, params).accuracy <= self.awake


def code_panel(codes: Tensor, classes: Sequence[int], limit: int, seed: int) -> Panel:
    """Return the codes of at most `limit` of the classes, drawn by the seed."""
    drawn = torch.tensor([*classes], dtype=torch.int64)
    if len(drawn) > limit:
        order = torch.randperm(len(drawn), generator=seeding.generator(seed, "code panel"))
        drawn = drawn[order[:limit]].sort().values
    return Panel(codes[drawn.to(codes.device)], drawn)


def log_odds(model: nn.Module, params: Params, images: Tensor, label: int, rivals: Sequence[int]) -> Tensor:
    """Return z_label - log sum exp z_rivals of each image, float64 [n] on the CPU."""
    with calling.evaluating(model), torch.no_grad():
        logits = calling.logits(model, params, images).cpu().double()
    return logits[:, label] - logits[:, [*rivals]].logsumexp(1)


def largest(is_harmless: Callable[[float], bool]) -> float:
    """Return about the largest strength that is harmless, never one that was not found so; 0 if none is.

    Harm is taken to grow with strength. Five to eight questions, mostly.
    """
    low, high = 0.0, FIRST_STRENGTH
    while high <= LARGEST and is_harmless(high):
        low, high = high, high * STRIDE
    while not low:
        candidate = high / STRIDE
        if candidate < SMALLEST:
            return 0.0
        low, high = (candidate, high) if is_harmless(candidate) else (0.0, candidate)
    for _ in range(NUM_HALVINGS if high <= LARGEST else 0):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if is_harmless(middle) else (low, middle)
    return low
