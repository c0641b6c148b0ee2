"""Equation 4 of selective synaptic dampening, by the share of a weight's information that must go.

"Fast machine unlearning without retraining through selective synaptic dampening" (Foster, Schoepf, Brintrup;
AAAI 2024):

    w_i <- min(lambda I_D,i / I_f,i, 1) w_i     where I_f,i > alpha I_D,i                (4)

No alpha fits two models: I_f / I_D is at most N / n_f, so the published alpha = 10 selects nothing when one
of ten classes goes. Selection is therefore by the forget set's share of a weight's information,

    rho_i = n_f I_f,i / (N I_D,i)  in [0, 1]

which makes (4) select rho_i > rho = alpha n_f / N and multiply by min(lambda n_f / (N rho_i), 1). A weight
that no sample depends on has the share 0 and is never selected. Biases and batch norm's weights are weights.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.numerics.params import Params
from workers.unlearning.base import Json
from workers.unlearning.errors import MissingNeedError

BLOCK = 2**17  # numbers that are worked on at once: they stay in a core's cache, and no temporary is large


@dataclass(frozen=True)
class Strength:
    """One pair of rho and lambda, with alpha = rho N / n_f beside it."""

    rho: float
    alpha: float
    dampening: float

    def to_json(self) -> dict[str, Json]:
        """Return all three."""
        return {"rho": self.rho, "alpha": self.alpha, "dampening": self.dampening}

    def __str__(self) -> str:
        return f"rho={self.rho:.4g} dampening={self.dampening:.4g}"


@dataclass(frozen=True, eq=False)
class Shares:
    """How much of each weight's information the forget set holds.

    Attributes:
        rho: n_f I_f / (N I_D) in [0, 1], one tensor a trainable parameter, in the type of its Fisher.
        fraction: n_f / N.
    """

    rho: Mapping[str, Tensor]
    fraction: float

    @classmethod
    def of(cls, forget: Params, num_forget: int, others: Params, num_others: int) -> "Shares":
        """Relate the forget set's information to its own and the others'.

        Computed in the type of `forget`; beside the arguments this holds the shares and no more.

        Args:
            forget: I_f, mean over the forget set, float32 or float64; not changed.
            num_forget: n_f.
            others: sum of the information of the N - n_f samples not in the forget set, in the same type.
            num_others: N - n_f.

        Raises:
            MissingNeedError: a value is not finite, or below zero.
        """
        rho = {}
        for name, mean in forget.items():
            rho[name] = torch.empty_like(mean, memory_format=torch.contiguous_format)
            bounds = []
            for share, own, other in _blocks(rho[name], mean, others[name]):
                torch.mul(own, num_forget, out=share)
                total = share + other
                bounds += [total.amax(), share.amin(), (total - share).amin()]
                share.div_(total.clamp_(min=torch.finfo(total.dtype).tiny))  # 0 where no sample cares
            extremes = torch.stack(bounds) if bounds else torch.zeros(1)
            if not bool(((extremes >= 0) & (extremes < math.inf)).all()):  # NaN fails both
                raise MissingNeedError(
                    f"expected finite squared gradients of 0 or more, got others in {name!r}: "
                    "prepare the model again"
                )
        return cls(rho, num_forget / (num_forget + num_others))

    def strength(self, rho: float, dampening: float) -> Strength:
        """Complete a pair by its alpha."""
        return Strength(rho, rho / self.fraction, dampening)

    def dampen(self, params: Params, strength: Strength) -> Params:
        """Return Equation 4: selected weights times min(lambda I_D / I_f, 1), all others as they are.

        The product is taken in the shares' type and rounded once to the weights'.
        """
        dampened = {**params}
        for name, whole in self.rho.items():
            dampened[name] = torch.empty_like(params[name], memory_format=torch.contiguous_format)
            for new, old, share in _blocks(dampened[name], params[name], whole):
                # A share of 0 makes the factor infinite or NaN, and is not selected.
                factor = torch.div(strength.dampening * self.fraction, share).clamp_(max=1.0)
                new.copy_(torch.where(share > strength.rho, factor.mul_(old).to(old.dtype), old))
        return dampened

    def change(self, params: Params, dampened: Params) -> float:
        """Return the Euclidean norm of what dampening changed."""
        norms = [
            torch.linalg.vector_norm(new - old, dtype=torch.float64)
            for name in self.rho
            for new, old in _blocks(dampened[name], params[name])
        ]
        return float(torch.stack(norms).norm()) if norms else 0.0

    def quantiles(self, fractions: Iterable[float]) -> list[float]:
        """Return the shares above which the given fractions of all weights with a share lie."""
        every = torch.cat([share.flatten() for share in self.rho.values()])
        ranked = every[every > 0].sort(descending=True).values
        return [float(ranked[min(int(f * len(ranked)), len(ranked) - 1)]) for f in fractions if len(ranked)]


def _blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield parts of tensors of one shape, side by side; the first must be contiguous to be written to."""
    return zip(*(torch.split(tensor.reshape(-1), BLOCK) for tensor in tensors), strict=True)
