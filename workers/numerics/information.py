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

    def without(self, labels: Collection[int]) -> Params:
        """Return the sum over all classes but these, float64, at least 0 everywhere."""
        remaining = {name: total.clone() for name, total in self.whole().items()}
        for label in labels:
            for name, mean in self.fetch(label).items():
                remaining[name] -= self.counts[label] * mean.double()
        return {name: total.clamp_(min=0) for name, total in remaining.items()}


def whole_of(means: Mapping[int, Params], counts: Mapping[int, int]) -> Params:
    """Return sum_c n_c I_c over the classes of `means`, accumulated in float64."""
    whole: Params = {}
    for label, mean in means.items():
        for name, tensor in mean.items():
            own = counts[label] * tensor.double()
            whole[name] = whole[name] + own if name in whole else own
    return whole
