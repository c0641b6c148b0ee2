"""Takes the Fishers of a version's classes in one pass: their sum, and each class's own if it is to be kept.

A kept Fisher is compact: bfloat16 has float32's range, which the squares of gradients need, and 2 to 3
digits, which choosing weights by their share of information hardly notices (benchmarks/store.py measures
it). The sum is of the values as they are kept, so that taking one away again is exact but for float64.

What is not kept is computed when it is asked for, in float32; then the sum is of float32 values.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from workers.numerics import fisher
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params
from workers.numerics.precision import Precision

COMPACT = torch.bfloat16
BATCH_SIZE = 64


@dataclass(eq=False)
class Tally:
    """How far a pass is: what must be saved to go on with it.

    Attributes:
        whole: sum over the classes so far of n_c I_c, float64.
        counts: class -> n_c, of the classes so far.
        loose: parameters whose Fisher takes a backward pass a sample; empty for common networks.
    """

    whole: Params = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    loose: tuple[str, ...] = ()

    def add(self, label: int, count: int, mean: Params) -> None:
        """Add a class."""
        for name, tensor in mean.items():
            own = tensor.double().mul_(count)
            self.whole[name] = self.whole[name].add_(own) if name in self.whole else own
        self.counts[label] = count


def take(
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    classes: Iterable[int],
    tally: Tally,
    *,
    keep: Callable[[int, Params], None] | None,
    after_class: Callable[[], None] = lambda: None,
    precision: Precision = Precision.FLOAT32,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Add the classes that a tally lacks to it, one after the other; it may be given again after a kill.

    Args:
        model: as in `fisher.each_class`.
        params: the weights at which the gradients are taken.
        samples: everything of these classes that the version still knows.
        classes: all of them; those in the tally are left out.
        tally: changed.
        keep: told each class's mean Fisher, compact, before the tally has it; None if they are not kept.
        after_class: called when the tally has another class.
        precision: as in `fisher.each_class`.
        progress: told the share done of what was left; may raise to cancel.

    Raises:
        FisherError: a label has no output, a value is not finite, or there are no per-sample gradients.
        CallError: the model's output is not one row of logits a sample.
        WeightsError: `params` is no state of `model`.
        DatasetRowError: a row cannot be read.
    """
    left = [label for label in classes if label not in tally.counts]
    of_each = fisher.each_class(
        model, params, samples, left, batch_size=BATCH_SIZE, precision=precision, progress=progress
    )
    del model  # a large one is in memory once less, where nobody else holds it
    for found in of_each:
        mean = found.mean
        if keep is not None:
            mean = compact(mean)
            keep(found.label, mean)
        tally.add(found.label, found.count, mean)
        tally.loose = found.loose
        del found, mean  # not held while the next class's is summed
        after_class()


def compact(mean: Params) -> Params:
    """Return a Fisher as it is kept."""
    return {name: tensor.to(COMPACT) for name, tensor in mean.items()}


def compact_bytes(params: Params, num_classes: int) -> int:
    """Return the bytes that the Fishers of so many classes take when they are kept."""
    return num_classes * COMPACT.itemsize * sum(t.numel() for t in params.values() if t.is_floating_point())
