"""Which units fit a budget of weights: the longest run of the best-ranked ones that stays within it.

A *unit* stands or falls as a whole: a weight, a channel or a layer. The DEL paper's rule (section 5.2): sort
units by score, the highest first, and take the largest number from the start of the list whose weights are
within the budget. So a unit that no longer fits ends the run; the budget is met exactly where units are
weights, and otherwise undershot by less than the next unit. **Ties** go to the unit that comes first, from
the input to the output and within a tensor in the order of its memory.
"""

import torch
from torch import Tensor

from workers.unlearning.errors import IneffectiveError


def within(scores: Tensor, sizes: Tensor, limit: int) -> Tensor:
    """Return which units are taken, bool [units].

    Args:
        scores: [units], finite.
        sizes: weights of each unit, int64 [units].
        limit: weights that all of them may have.

    Raises:
        IneffectiveError: a score is not finite, or not even the first unit fits.
    """
    if not bool(torch.isfinite(scores).all()):
        raise IneffectiveError(
            "expected finite gradients of the forget set, got NaN or infinity: choose a strategy without "
            "gradients (deepest, shallowest), or another method"
        )
    order = torch.argsort(scores, descending=True, stable=True).cpu()
    is_taken = torch.cumsum(sizes[order], dim=0) <= limit
    if not bool(is_taken.any()):
        raise IneffectiveError(
            f"expected a budget of at least the {int(sizes[order[0]])} weights that the first unit has, got "
            f"{limit}: state a larger parameter_share"
        )
    taken = torch.zeros(len(scores), dtype=torch.bool)
    taken[order[is_taken]] = True
    return taken
