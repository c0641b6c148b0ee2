"""Whose information a weight holds: that of what must go against the rest's, as kept or measured anew.

Fishers are kept per class, so a class request by them reads no data. They may be those of an earlier
version's weights; a class's own and the others' are then equally old. What is kept is per-sample Fisher
information. Any other importance is measured when it is asked for, at the current weights, on the forget set
and on all retained data, since parts of different kinds cannot be added.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from workers.numerics import importance
from workers.numerics.importance import Importance
from workers.numerics.params import Params
from workers.unlearning.base import ForgetProblem, Kind, Need
from workers.unlearning.dampening import Shares
from workers.unlearning.errors import MissingNeedError

MEASURING_SHARE = 0.8  # of the time of a request that measures another importance


def progress_before(quantity: Importance) -> float:
    """Return how much of a request is done once the parts are known, in [0, 1]."""
    return 0.0 if quantity is Importance.PER_SAMPLE else MEASURING_SHARE


@dataclass(frozen=True, eq=False)
class Part:
    """What is forgotten in one go: a class, or all samples of a samples request.

    Attributes:
        label: the class; None for samples.
        shares: relates it to the rest; called once, when its turn comes.
    """

    label: int | None
    shares: Callable[[], Shares]

    def __str__(self) -> str:
        return "samples" if self.label is None else f"class_{self.label}"


def parts(problem: ForgetProblem, quantity: Importance) -> list[Part]:
    """Return what a request forgets, in turn.

    Each class is related to itself and the remaining classes, the request's others left out. Beside the given
    weights, the sum over remaining classes is held, and one class's own while its shares are made: at most
    four copies of the weights at any time, a float64 one counted as two.

    Raises:
        MissingNeedError: a class has no Fisher, or there is no retained data to measure another quantity on.
        FisherError: a gradient is not finite.
        DatasetRowError: a row cannot be read.
    """
    if problem.kind is Kind.SAMPLES:
        return [Part(None, lambda: _of_samples(problem, quantity))]
    of_class = _by_class(problem) if quantity is Importance.PER_SAMPLE else _by_class_anew(problem, quantity)
    return [Part(label, functools.partial(of_class, label)) for label in sorted(problem.classes)]


def _by_class(problem: ForgetProblem) -> Callable[[int], Shares]:
    """Relate classes by what is kept of them."""
    information = problem.class_information
    counts = information.counts if information is not None else {}
    missing = [label for label in problem.classes if label not in counts]
    if information is None or missing:
        raise MissingNeedError(
            f"expected Fishers of classes {[*problem.classes]}, got none of {missing or 'any'}: prepare the "
            "model again, or leave out a class without training samples"
        )
    leaving = [*problem.classes]
    remaining = information.without(leaving, is_rounded=True)
    num_remaining = sum(counts.values()) - sum(counts[label] for label in leaving)
    if num_remaining == 0:
        raise MissingNeedError("expected a Fisher of a remaining class, got none: prepare the model again")
    return lambda label: Shares.of(information.fetch(label), counts[label], remaining, num_remaining)


def _of_samples(problem: ForgetProblem, quantity: Importance) -> Shares:
    """Relate the forget set to all samples that the model knows, at the current weights."""
    num_forget = len(problem.forget)
    own = importance.measure(quantity, problem.build(), problem.params, problem.forget)
    if quantity is not Importance.PER_SAMPLE:
        return Shares.of(own, num_forget, *_retained(problem, quantity))
    information = problem.class_information
    if information is None or not information.counts:
        raise MissingNeedError("expected Fishers of the remaining classes, got none: prepare the model again")
    others = {**information.whole()}
    for name, mean in own.items():
        # What is kept may be rounded, or of other weights, and then be less than the part.
        others[name] = torch.sub(others[name], mean, alpha=num_forget).clamp_(min=0).to(mean.dtype)
    return Shares.of(own, num_forget, others, max(information.num_samples - num_forget, 0))


def _by_class_anew(problem: ForgetProblem, quantity: Importance) -> Callable[[int], Shares]:
    remaining, num_remaining = _retained(problem, quantity)
    labels = problem.forget.labels.numpy()

    def shares(label: int) -> Shares:
        members = problem.forget.take(np.flatnonzero(labels == label))
        if not len(members):
            raise MissingNeedError(f"expected training samples of class {label}, got none: leave it out")
        own = importance.measure(quantity, problem.build(), problem.params, members)
        return Shares.of(own, len(members), remaining, num_remaining)

    return shares


def _retained(problem: ForgetProblem, quantity: Importance) -> tuple[Params, int]:
    """Return the sum over all retained samples, measured at the current weights, and their number."""
    problem.require(Need.RETAIN_SET)
    num_retained = len(problem.retain)
    mean = importance.measure(
        quantity,
        problem.build(),
        problem.params,
        problem.retain,
        lambda done: problem.progress(MEASURING_SHARE * done),
    )
    return {name: num_retained * tensor for name, tensor in mean.items()}, num_retained
