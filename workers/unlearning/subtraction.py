"""Takes out of the weights what an update log says that the forget set put in, and repairs what that broke.

Both amnesiac methods are this; they differ in what a record is of. The sum of the records is subtracted once,
with no strength to choose. A repair is plain descent on retained samples alone, at a budget.

What the log does not know stays: the way in which the forgotten samples bent the gradients of others, and
what an earlier repair taught, which nobody recorded.
"""

import torch

from workers.numerics.batches import SampleSet
from workers.numerics.params import Params
from workers.unlearning.base import ForgetProblem, Need, Recorded
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.training import budget, descent, losses
from workers.unlearning.training.descent import Course
from workers.unlearning.training.repair import BATCH_SIZE


def recorded(problem: ForgetProblem, granularity: str) -> Recorded:
    """Return what the log holds of the forget set.

    Args:
        problem: with its log.
        granularity: of the records that the method can use: `batch` or `sample`.

    Raises:
        MissingNeedError: there is no log, or one of other records.
        IneffectiveError: the log says that the forget set moved nothing.
    """
    problem.require(Need.UPDATE_LOG, Need.FORGET_SET)
    assert problem.update_log is not None
    found = problem.update_log.sum_of(problem.forget.positions, granularity)
    if not any(bool(one.any()) for one in found.sums.values()):
        raise IneffectiveError(
            f"expected records of {len(problem.forget)} samples, found {found.num_records} that moved a "
            f"weight ({found.num_earlier} were subtracted before): choose another method"
        )
    return found


def subtract(params: Params, sums: Params) -> Params:
    """Return params - sums, computed in float32 or wider; names without a sum keep their tensors."""
    changed = {}
    for name, total in sums.items():
        before = params[name]
        wide = torch.promote_types(before.dtype, torch.float32)
        changed[name] = (before.to(wide) - total.to(device=before.device, dtype=wide)).to(before.dtype)
    return {**params, **changed}


def repair(
    problem: ForgetProblem, params: Params, share: float, rate: float, *, adapts_statistics: bool
) -> tuple[Params, int]:
    """Return the weights after descent on retained samples, and how many steps it took.

    Args:
        problem: whose retained samples, recipe and seed count.
        params: to start from; not changed.
        share: of the recorded training's cost; 0 repairs nothing.
        rate: the first learning rate; falls along a half cosine.
        adapts_statistics: whether batch norm gathers the retained samples' statistics meanwhile.

    Raises:
        MissingNeedError: there is nothing retained to repair with.
        DivergedError: the repair does not converge.
    """
    if share == 0:
        return params, 0
    problem.require(Need.RETAIN_SET)
    samples: SampleSet = problem.retain
    num_steps = budget.num_steps(problem, share, min(BATCH_SIZE, len(samples)))
    repaired = descent.descend(
        problem.build(),
        params,
        [descent.stream(samples, BATCH_SIZE, params, problem.seed, "amnesiac")],
        losses.of_one_set,
        Course(num_steps, rate, adapts_statistics=adapts_statistics),
        seed=problem.seed,
        progress=problem.progress,
    )
    return repaired, num_steps
