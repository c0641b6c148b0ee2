"""What the samples of each class tell each weight, and what the others tell it: Fishers by class, and sums.

Vocabulary. The information of a class is n_c I_c: its number of samples times their mean squared per-sample
gradient (`fisher`). The whole is the sum over the classes that a model still knows, in float64.

A model of a thousand classes cannot keep a thousand Fishers in memory, so a class's own is fetched when it
is asked for: read from the store, or computed from the class's samples. What the others hold is the whole
less what the asked ones hold. That difference is safe: the whole is a sum of exactly the values that are
taken away again, so its error is float64's, 1e-16 of the whole; where a class's own is computed anew, it is
float32's.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.numerics.params import Params


@dataclass(frozen=True, eq=False)
class ClassInformation:
    """The information of the classes that a model still knows.

    Attributes:
        counts: class -> number of its samples; a class without any is absent.
        fetch: class -> its mean Fisher I_c, in the floating type of the weights and on their device.
        fetch_whole: returns sum_c n_c I_c over all of `counts`, float64.
    """

    counts: Mapping[int, int]
    fetch: Callable[[int], Params]
    fetch_whole: Callable[[], Params]

    @classmethod
    def of_means(cls, means: Mapping[int, Params], counts: Mapping[int, int]) -> "ClassInformation":
        """Hold the mean Fishers of all classes in memory.

        Args:
            means: class -> I_c; at least one.
            counts: class -> n_c; classes that `means` lacks are left out.
        """
        present = {label: counts[label] for label in means}
        return cls(present, means.__getitem__, lambda: whole_of(means, present))

    @property
    def num_samples(self) -> int:
        """N, over all classes."""
        return sum(self.counts.values())

    def whole(self) -> Params:
        """Return sum_c n_c I_c, float64."""
        return self.fetch_whole()

    def without(self, labels: Collection[int], *, is_rounded: bool = False) -> Params:
        """Return the sum over all classes but these, at least 0 everywhere, as new tensors.

        One class's own is held at a time, and each tensor of the whole is let go of as it is used, if whoever
        fetches it keeps it not.

        Args:
            labels: the classes to leave out.
            is_rounded: whether to return the type of the classes' own Fishers in place of float64, which
                takes half of the memory; only where `labels` names a class.
        """
        whole = {**self.whole()}
        remaining: Params = {}
        types: dict[str, torch.dtype] = {}
        for label in labels:
            own, count = self.fetch(label), self.counts[label]
            for name in [*own]:
                if name in whole:
                    remaining[name] = torch.sub(whole.pop(name), own[name], alpha=count)  # in float64
                else:
                    remaining[name].sub_(own[name], alpha=count)
            types = {name: mean.dtype for name, mean in own.items()} if is_rounded else {}
            del own
        remaining |= {name: total.clone() for name, total in whole.items()}
        del whole
        names = [*remaining]
        return {name: _at_least_zero(remaining.pop(name), types.get(name)) for name in names}


def whole_of(means: Mapping[int, Params], counts: Mapping[int, int]) -> Params:
    """Return sum_c n_c I_c over the classes of `means`, accumulated in float64."""
    whole: Params = {}
    for label, mean in means.items():
        for name, tensor in mean.items():
            own = counts[label] * tensor.double()
            whole[name] = whole[name] + own if name in whole else own
    return whole


def _at_least_zero(total: Tensor, dtype: torch.dtype | None) -> Tensor:
    return total.clamp_(min=0).to(dtype or total.dtype)
