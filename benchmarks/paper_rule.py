"""The one-shot rule as the paper prints it, for any Fisher, with its strength chosen on held-out images.

"One-shot machine unlearning with mnemonic code" (Yamashita, Yamada, Shibata; ACML 2024):

    f_F, f_R = mean of the Fishers of the classes to forget, and of those to keep
    eta      = f_F / f_R                                   (6)
    alpha_l  = min(lambda_1, lambda_2 / max_l eta)         (7)   l: one named parameter tensor
    w        = w +- alpha_l eta                            (5)

The paper searches lambda_1 in 1e-6 to 1 and lambda_2 in 1e-1 to 1e5 for the highest A_R + E_F and does not
say of which images; here they are held-out ones, and the sign is chosen with them. Several classes go at
once, by their mean, as equation 6 has it.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.setting import NUM_CLASSES, Setting
from workers.numerics.params import Params
from workers.unlearning.rehearsal import Panel

FLOOR = 1e-16  # of both Fishers, so that a weight nothing depends on has eta 1
LAMBDAS_1 = tuple(10.0**exponent for exponent in range(-6, 1))
LAMBDAS_2 = tuple(10.0**exponent for exponent in range(-1, 6))
NUM_KEPT = 500
NUM_GONE = 200


@dataclass(frozen=True)
class Strength:
    """What the search chose."""

    sign: int
    lambda_1: float
    lambda_2: float


@dataclass(frozen=True, eq=False)
class Eta:
    """Equation 6 of one tensor as exp(log_peak) * shape, so that it cannot overflow; shape lies in (0, 1]."""

    shape: Tensor
    log_peak: float

    def step(self, lambda_1: float, lambda_2: float) -> float:
        """Return the largest change of a weight of this tensor: alpha max eta, equation 7."""
        return math.exp(min(math.log(lambda_1) + self.log_peak, math.log(lambda_2)))


def forget(
    setting: Setting, params: Params, fishers: Mapping[int, Params], classes: Sequence[int], seed: int
) -> tuple[Params, Strength]:
    """Return the weights with the highest A_R + E_F on held-out images, and how they came about.

    Of equal sums, which a few hundred images leave many of, the one with the better mean probabilities wins.

    Args:
        setting: gives the network and the held-out images.
        params: of the model that still knows.
        fishers: class -> diagonal Fisher, of all classes.
        classes: to forget.
        seed: draws the held-out images.
    """
    model = setting.build()
    kept_classes = [label for label in range(NUM_CLASSES) if label not in classes]
    kept = Panel.read(setting.tuning, kept_classes, NUM_KEPT, seed)
    gone = Panel.read(setting.tuning, classes, NUM_GONE, seed)

    etas = etas_of(fishers, classes, kept_classes)
    best: tuple[tuple[float, float], Params, Strength] | None = None
    tried: set[tuple[float, ...]] = set()
    for sign, lambda_1, lambda_2 in itertools.product((-1, 1), LAMBDAS_1, LAMBDAS_2):
        steps = (sign, *(eta.step(lambda_1, lambda_2) for eta in etas.values()))
        if steps in tried:
            continue
        tried.add(steps)
        moved = perturbed(params, etas, sign, lambda_1, lambda_2)
        score = _score(model, moved, kept, gone)
        if score is not None and (best is None or score > best[0]):
            best = score, moved, Strength(sign, lambda_1, lambda_2)
    if best is None:
        raise ArithmeticError("expected finite outputs at some strength, got none")
    return best[1], best[2]


def etas_of(
    fishers: Mapping[int, Params], classes: Sequence[int], kept_classes: Sequence[int]
) -> dict[str, Eta]:
    """Return equation 6 for each parameter tensor."""
    etas = {}
    for name in fishers[classes[0]]:
        forgotten = torch.stack([fishers[label][name] for label in classes]).mean(0)
        remaining = torch.stack([fishers[label][name] for label in kept_classes]).mean(0)
        log_eta = torch.log(forgotten + FLOOR) - torch.log(remaining + FLOOR)
        log_peak = float(log_eta.max())
        etas[name] = Eta(torch.exp(log_eta - log_peak), log_peak)
    return etas


def perturbed(params: Params, etas: Mapping[str, Eta], sign: int, lambda_1: float, lambda_2: float) -> Params:
    """Return equation 5; tensors without a Fisher stay."""
    return {
        name: tensor + sign * etas[name].step(lambda_1, lambda_2) * etas[name].shape
        if name in etas
        else tensor
        for name, tensor in params.items()
    }


def _score(model: nn.Module, params: Params, kept: Panel, gone: Panel) -> tuple[float, float] | None:
    """Return A_R + E_F counted and as probabilities; None if an output is not finite."""
    keeps, goes = kept.ask(model, params), gone.ask(model, params)
    if not (keeps.is_finite and goes.is_finite):
        return None
    return keeps.accuracy - goes.accuracy, keeps.mean_probability - goes.mean_probability
