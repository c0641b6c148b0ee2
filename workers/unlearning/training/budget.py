"""What a method may cost, as a share of what training the model costs.

An unlearning method that costs as much as training has no reason to be: retraining is exact. So a method that
trains counts the samples it passes through the network forward and backward, and holds that against the
samples of the recorded training. A pass that needs no gradient counts a third of one that does.
"""

from workers.unlearning.base import ForgetProblem

FORWARD_SHARE = 1 / 3  # of forward and backward together: a backward pass costs about two forward passes
DEFAULT_EPOCHS = 20  # of a recipe that does not say
DEFAULT_BATCH_SIZE = 64


def training_samples(problem: ForgetProblem) -> int:
    """Return how many samples the recorded training passes forward and backward, repetitions counted."""
    recipe = problem.recipe
    if recipe.get("steps") is not None:
        return int(recipe["steps"]) * int(recipe.get("batch_size", DEFAULT_BATCH_SIZE))
    return int(recipe.get("epochs", DEFAULT_EPOCHS)) * (len(problem.retain) + len(problem.forget))


def num_steps(problem: ForgetProblem, share: float, batch_size: int, *, spent: float = 0.0) -> int:
    """Return how many steps a budget allows; at least one, or the method would do nothing.

    Args:
        problem: whose recipe says what training costs.
        share: of the training's cost, in (0, 1].
        batch_size: samples that one step passes forward and backward, all its batches together.
        spent: samples that the method has passed before, in the same count.
    """
    return max(1, int((share * training_samples(problem) - spent) // batch_size))
