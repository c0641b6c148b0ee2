"""How far each weight may move for a class to go: the perturbation of one-shot forgetting, tensor by tensor.

"One-shot machine unlearning with mnemonic code" (Yamashita, Yamada, Shibata; ACML 2024):

    eta_i   = f_F,i / f_R,i                          (6)   f: squared gradient of a code's loss, mean of codes
    alpha_l = min(lambda_1, lambda_2 / max_l eta)    (7)   l: one named parameter tensor

F is one forgotten class and R are the remaining ones. The denominator here has its own mean over the tensor
added to it. Without that, a weight that no remaining code happens to reach has an eta of f_F / 0, takes all
of alpha for itself, and the images that do reach it pay; the paper's lambda_1 only softens this. A weight
that the forgotten code does not reach has eta 0 and stays, and so does a tensor where it reaches none.
"""

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.numerics.information import ClassInformation
from workers.numerics.params import Params
from workers.unlearning.errors import MissingNeedError

MIN_KEPT = 2  # Fishers in memory; of a request for more classes than are kept, some are fetched twice
KEPT_SHARE = 0.25  # of the memory that is free when the first is fetched
SMALLEST = 1e-300  # a denominator of 0 divides as this, which float64 survives


@dataclass(frozen=True, eq=False)
class Amplitude:
    """Equation 6 for one parameter tensor, kept in a form that cannot overflow: eta = exp(log_peak) * shape.

    Attributes:
        shape: eta over its largest value, in [0, 1], of the tensor's shape; float32, or float64 of float64.
        log_peak: logarithm of the largest eta.
    """

    shape: Tensor
    log_peak: float

    def peak(self, lambda_1: float, lambda_2: float) -> float:
        """Return the largest value of alpha * eta: min(lambda_1 * max eta, lambda_2)."""
        if lambda_2 == 0:
            return 0.0
        return math.exp(min(math.log(lambda_1) + self.log_peak, math.log(lambda_2)))

    def moved(self, weights: Tensor, sign: int, lambda_1: float, lambda_2: float) -> Tensor:
        """Return weights +- alpha * eta (Equation 5), computed in the shape's type and rounded once."""
        step = sign * self.peak(lambda_1, lambda_2)
        return torch.add(weights.to(self.shape.dtype), self.shape, alpha=step).to(weights.dtype)


def fetching_once(information: ClassInformation, free_bytes: int = 0) -> ClassInformation:
    """Return the same, which keeps the Fishers fetched last in memory: they may cost a backward pass each.

    Args:
        information: of the codes, or of the samples.
        free_bytes: the memory that is left; a quarter of it may be kept, and two Fishers in any case.
    """
    kept: OrderedDict[int, Params] = OrderedDict()

    def fetch(label: int) -> Params:
        own = kept.pop(label) if label in kept else information.fetch(label)
        kept[label] = own
        each = sum(mean.nbytes for mean in own.values())
        while len(kept) > max(MIN_KEPT, int(KEPT_SHARE * free_bytes) // max(each, 1)):
            kept.popitem(last=False)
        return own

    return dataclasses.replace(information, fetch=fetch)


def others_of(information: ClassInformation, leaving: Collection[int]) -> Params:
    """Return f_R: the mean Fisher of the codes of all classes but these, float64."""
    num_remaining = len(information.counts.keys() - {*leaving})
    return {name: total.div_(num_remaining) for name, total in information.without(leaving).items()}


def amplitudes_of(own: Params, others: Params) -> dict[str, Amplitude]:
    """Return Equation 6 for each parameter tensor that the forgotten code reaches.

    Beside its arguments and its result this holds float64 temporaries of one tensor.

    Args:
        own: f_F, the Fisher of the forgotten class's code, any floating type; not changed.
        others: f_R, float64, same names; not changed.

    Raises:
        MissingNeedError: a Fisher is not finite, or below zero.
    """
    amplitudes = {}
    for name, mean in own.items():
        above, below = mean.double(), others[name]
        _check_squares(name, (above, below))
        eta = above / (below + below.mean()).clamp_(min=SMALLEST)
        peak = float(eta.max()) if eta.numel() else 0.0
        if peak > 0:
            kept = mean.dtype if mean.dtype == torch.float64 else torch.float32
            amplitudes[name] = Amplitude(eta.div_(peak).to(kept), math.log(peak))
    return amplitudes


def _check_squares(name: str, fishers: Iterable[Tensor]) -> None:
    # NaN fails every comparison, so one question finds it, infinity and negative values.
    if not all(bool(((fisher >= 0) & (fisher < math.inf)).all()) for fisher in fishers):
        raise MissingNeedError(
            f"expected finite squared gradients of 0 or more, got others in {name!r}: prepare the model again"
        )
