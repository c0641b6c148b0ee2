"""One-shot class forgetting with mnemonic codes: needs no data, only the codes the model was trained with.

"One-shot machine unlearning with mnemonic code" (Yamashita, Yamamoto, Shibata; ACML 2024), Equations 5 to 7
and Algorithm 2. Every weight moves by its amplitude eta: how much more the forgotten class's code depends
on it than the remaining codes do.

    eta_i   = f_F,i / f_R,i                          (6)   f: squared gradient of a code's loss, mean of codes
    alpha_l = min(lambda_1, lambda_2 / max_l eta)    (7)   l: one named parameter tensor
    w_i     = w_i +- alpha_l eta_i                   (5)

Rules chosen here, where the paper leaves room or fails:
- Several classes are forgotten one after the other, each against the remaining classes only (all that were
  or will be forgotten are left out). Averaging them, as Equation 6 prints it, lets one class eat the budget
  of the others.
- The squared gradients are those of the registered model, kept from preparation. Taken anew after a first
  class is gone, its code would have a huge gradient and spoil the second.
- The sign and (lambda_1, lambda_2) are those with the best soft score on the codes, so no data is touched:
  the sum of p_y over remaining codes and of 1 - p_y over forgotten ones. Counting right and wrong codes
  instead stops too early. Among scores that are as good as equal the smallest perturbation wins.
- BatchNorm's running statistics stay as they are.
"""

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.numerics import calling
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params
from workers.unlearning.base import ForgetProblem, Guarantee, Json, Kind, Need, UnlearnResult
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.parameters import parameter

FISHER_FLOOR = 1e-16  # keeps eta finite for weights that no code depends on
COARSE_1 = tuple(10.0**exponent for exponent in range(-6, 1))
COARSE_2 = tuple(10.0**exponent for exponent in range(-3, 6))
REFINEMENTS = (0.5, 0.25)  # decades; the good region is often narrower than one
SIGNS = (-1, 1)
SCORE_TOLERANCE = 1e-3  # of one code: not worth a perturbation that can be a thousand times larger
NUM_REPORTED = 3


@dataclass(frozen=True)
class OneShotParameters:
    """What a request may fix; what it leaves open is chosen by the soft code score.

    Attributes:
        lambda_1: the amplitude's factor in tensors that hardly depend on the forgotten class.
        lambda_2: the largest change of a weight in any tensor.
    """

    lambda_1: float | None = parameter(
        None, "Largest factor on the amplitude (Eq. 7); null searches 1e-6 to 1.", minimum=1e-12, maximum=1e12
    )
    lambda_2: float | None = parameter(
        None, "Largest change of any weight (Eq. 7); null searches 1e-3 to 1e5.", minimum=1e-12, maximum=1e12
    )


@dataclass(frozen=True)
class Amplitude:
    """Equation 6 for one parameter tensor, kept in a form that cannot overflow: eta = exp(log_peak) * shape.

    Attributes:
        shape: eta over its largest value, in (0, 1], of the tensor's shape.
        log_peak: logarithm of the largest eta.
    """

    shape: Tensor
    log_peak: float

    def change(self, lambda_1: float, lambda_2: float) -> Tensor:
        """Return alpha * eta (Eq. 7); its largest value is min(lambda_1 * max eta, lambda_2)."""
        return math.exp(min(math.log(lambda_1) + self.log_peak, math.log(lambda_2))) * self.shape


@dataclass(frozen=True)
class Candidate:
    """One perturbation that was tried on the codes."""

    sign: int
    lambda_1: float
    lambda_2: float
    score: float
    size: float

    def to_json(self) -> dict[str, Json]:
        """Return what identifies the perturbation."""
        return {"sign": self.sign, "lambda_1": self.lambda_1, "lambda_2": self.lambda_2}

    def __str__(self) -> str:
        strength = f"sign={self.sign:+d} lambda_1={self.lambda_1:g} lambda_2={self.lambda_2:g}"
        return f"{strength} score={self.score:.4f}"


@dataclass(frozen=True, eq=False)
class CodeTrial:
    """Everything that stays the same while strengths for one class are tried on the codes.

    Attributes:
        model: the architecture.
        params: the weights before this class is forgotten.
        amplitudes: Equation 6 for this class, by parameter name.
        codes: [num_classes, C, H, W].
        remaining: the classes to keep.
        gone: the classes forgotten by now, this one among them.
    """

    model: nn.Module
    params: Params
    amplitudes: Mapping[str, Amplitude]
    codes: Tensor
    remaining: Sequence[int]
    gone: Sequence[int]

    def __call__(self, sign: int, lambda_1: float, lambda_2: float) -> Candidate:
        """Score one perturbation."""
        moved = perturbed(self.params, self.amplitudes, sign, lambda_1, lambda_2)
        score = soft_code_score(self.model, moved, self.codes, self.remaining, self.gone)
        changes = (each.change(lambda_1, lambda_2) for each in self.amplitudes.values())
        size = math.sqrt(sum(float(change.double().square().sum()) for change in changes))
        return Candidate(sign, lambda_1, lambda_2, score, size)


class OneShot:
    """The method as the registry finds it."""

    name = "one_shot"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS})
    needs = frozenset({Need.CODES})
    summary = "Forgets a class in milliseconds from its mnemonic code alone; touches no training data."
    caveats = (
        "Class requests only.",
        "The model must have been trained with mnemonic codes.",
        "Relapses: fine-tuning the new version later, even on retained data only, can bring the class back.",
        "Acts mostly on the last layer and comes close to masking an output.",
        "The authors' own code is licensed for evaluation only and mentions patents; this one is written "
        "from the paper's equations. Take legal advice before commercial use.",
    )
    Parameters: type[OneShotParameters] = OneShotParameters

    def forget(self, problem: ForgetProblem, parameters: OneShotParameters) -> UnlearnResult:
        """Forget the classes one after the other, each by the perturbation with the best soft code score.

        Raises:
            MissingNeedError: the model has no codes, or lacks the code Fisher of a class.
            IneffectiveError: every perturbation made the outputs non-finite.
        """
        problem.require(Need.CODES)
        assert problem.codes is not None and problem.code_information is not None
        model = problem.build()
        codes = problem.codes.to(calling.device_of(problem.params))
        gone = [*problem.forgotten_classes]
        params = problem.params
        strengths: list[Json] = []
        diagnostics: dict[str, float | int | str] = {}

        for done, forgotten in enumerate(sorted(problem.classes), start=1):
            gone.append(forgotten)
            amplitudes = amplitudes_of(problem.code_information, forgotten, problem.classes)
            trial = CodeTrial(model, params, amplitudes, codes, problem.remaining_classes, tuple(gone))
            ranked = search(trial, parameters)
            if not ranked:
                raise IneffectiveError(
                    f"expected finite outputs on the codes, got none at any strength for class {forgotten}: "
                    "state smaller lambda_1 and lambda_2"
                )
            best = ranked[0]
            params = perturbed(params, amplitudes, best.sign, best.lambda_1, best.lambda_2)
            strengths.append({"class": forgotten, **best.to_json()})
            diagnostics[f"class_{forgotten}_change"] = best.size
            diagnostics |= {
                f"class_{forgotten}_best_{i}": str(c) for i, c in enumerate(ranked[:NUM_REPORTED], 1)
            }
            problem.progress(done / len(problem.classes))

        record: dict[str, Json] = {
            "lambda_1": parameters.lambda_1,
            "lambda_2": parameters.lambda_2,
            "fisher_floor": FISHER_FLOOR,
            "strengths": strengths,
        }
        return UnlearnResult(params={**params}, parameters=record, diagnostics=diagnostics)


METHOD = OneShot()


def amplitudes_of(
    information: ClassInformation, forgotten: int, leaving: Collection[int]
) -> dict[str, Amplitude]:
    """Return Equation 6 in log space for each parameter tensor: one forgotten class against the remaining.

    Args:
        information: of the codes of the classes known before this request.
        forgotten: the class.
        leaving: all classes that this request forgets.
    """
    remaining = information.without(leaving)
    num_remaining = len(information.counts) - len(leaving)
    amplitudes = {}
    for name, own in information.fetch(forgotten).items():
        others = remaining[name] / num_remaining
        log_eta = torch.log(own.double() + FISHER_FLOOR) - torch.log(others + FISHER_FLOOR)
        log_peak = log_eta.max()
        amplitudes[name] = Amplitude(torch.exp(log_eta - log_peak).to(own.dtype), float(log_peak))
    return amplitudes


def perturbed(
    params: Params, amplitudes: Mapping[str, Amplitude], sign: int, lambda_1: float, lambda_2: float
) -> Params:
    """Return Equation 5: every tensor with an amplitude moved by it, all others as they are."""
    return {
        name: tensor + sign * amplitudes[name].change(lambda_1, lambda_2).to(tensor.dtype)
        if name in amplitudes
        else tensor
        for name, tensor in params.items()
    }


def soft_code_score(
    model: nn.Module, params: Params, codes: Tensor, remaining: Sequence[int], gone: Sequence[int]
) -> float:
    """Return the sum of p_y over the remaining codes and of 1 - p_y over the forgotten ones."""
    with calling.evaluating(model), torch.no_grad():
        probabilities = calling.logits(model, params, codes).double().softmax(1)
    own = probabilities.diagonal()
    return float(own[[*remaining]].sum() + (1 - own[[*gone]]).sum())


def search(trial: Callable[[int, float, float], Candidate], parameters: OneShotParameters) -> list[Candidate]:
    """Try decades of both lambdas with both signs, then ever finer around the best.

    Returns:
        Every candidate with a finite score, best first; those within the tolerance of the best by their size.
    """
    coarse_1 = COARSE_1 if parameters.lambda_1 is None else (parameters.lambda_1,)
    coarse_2 = COARSE_2 if parameters.lambda_2 is None else (parameters.lambda_2,)
    ranked = _ranked(trial(*each) for each in itertools.product(SIGNS, coarse_1, coarse_2))
    for step in REFINEMENTS if ranked else ():
        best = ranked[0]
        around = (10.0**-step, 1.0, 10.0**step)
        fine_1 = [best.lambda_1 * factor for factor in around] if parameters.lambda_1 is None else coarse_1
        fine_2 = [best.lambda_2 * factor for factor in around] if parameters.lambda_2 is None else coarse_2
        finer = (trial(*each) for each in itertools.product((best.sign,), fine_1, fine_2))
        ranked = _ranked([*ranked, *finer])
    return ranked


def _ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    finite = {c for c in candidates if math.isfinite(c.score)}
    level = max((c.score for c in finite), default=0.0) - SCORE_TOLERANCE
    return sorted(
        finite,
        key=lambda c: ((0, c.size) if c.score >= level else (1, -c.score), c.sign, c.lambda_1, c.lambda_2),
    )
