"""The localisation strategies by name, and what finding a mask cost.

A *mask* says of each weight of a tensor whether unlearning may move it; a tensor without a mask stays as it
is. All strategies are given the same thing, a share of the trainable weights, and differ in the unit they
choose (weight, channel, layer) and in whether they look at the forget set.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from workers.numerics import calling
from workers.numerics.params import trainable_names
from workers.unlearning import gradients
from workers.unlearning.base import ForgetProblem, Progress, no_progress
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.localization import crit_mem, depth, sal_loc, weighted_channels


class Strategy(StrEnum):
    """Where a forget set is taken to live."""

    DEEPEST = "deepest"
    SHALLOWEST = "shallowest"
    CRIT_MEM = "crit_mem"
    SAL_LOC = "sal_loc"
    DEL = "del"


@dataclass(frozen=True, eq=False)
class Located:
    """A mask and its price.

    Attributes:
        masks: name -> bool tensor of the parameter's shape, on the problem's device; never empty.
        num_passes: samples passed forward and backward in batches that would have taken as long to find it.
    """

    masks: Mapping[str, Tensor]
    num_passes: int

    @property
    def num_weights(self) -> int:
        """How many weights may move."""
        return sum(int(mask.sum()) for mask in self.masks.values())


def locate(
    problem: ForgetProblem,
    strategy: Strategy,
    *,
    share: float,
    top_share: float,
    max_passes: float,
    progress: Progress = no_progress,
) -> Located:
    """Find the weights that unlearning may move.

    Args:
        problem: read only.
        strategy: how.
        share: of the trainable weights, in (0, 1].
        top_share: of a channel's weights that `del` scores it by, in (0, 1].
        max_passes: samples, passed in batches, whose time `crit_mem` may spend; the others need no bound.
        progress: told the fraction done; may raise to cancel.

    Raises:
        IneffectiveError: the share is smaller than the first unit, or the forget set gives no finite or no
            nonzero gradient.
        DatasetRowError: a row cannot be read.
    """
    model = problem.build()
    total = sum(problem.params[name].numel() for name in trainable_names(model))
    limit = math.floor(round(share * total, 6))  # 0.29 * 100 is 28.999999999999996
    num_passes = 0
    if strategy in (Strategy.DEEPEST, Strategy.SHALLOWEST):
        masks = depth.locate(model, limit, is_deepest=strategy is Strategy.DEEPEST)
    elif strategy is Strategy.CRIT_MEM:
        masks, num_passes = crit_mem.locate(
            model,
            problem.params,
            problem.forget,
            limit,
            max_passes=max(1, int(max_passes / crit_mem.UNBATCHED)),
            seed=problem.seed,
            progress=progress,
        )
        num_passes *= crit_mem.UNBATCHED
    else:
        slopes = gradients.mean(model, problem.params, problem.forget)
        num_passes = len(problem.forget)
        if not any(bool(slope.any()) for slope in slopes.values()):
            raise IneffectiveError(
                "expected a forget set whose loss depends on some weight, got gradients of zero: choose a "
                "strategy without gradients (deepest, shallowest), or another method"
            )
        if strategy is Strategy.SAL_LOC:
            masks = sal_loc.locate(slopes, limit)
        else:
            masks = weighted_channels.locate(model, problem.params, slopes, limit, top_share)
    device = calling.device_of(problem.params)
    return Located({name: mask.to(device) for name, mask in masks.items()}, num_passes)
