"""Influence unlearning (IU): one Newton step towards the optimum without the forget set.

Koh and Liang, "Understanding black-box predictions via influence functions" (ICML 2017), with the inverse
of the Hessian replaced by that of the empirical Fisher information as in Jia et al., "Model sparsity can
simplify machine unlearning" (NeurIPS 2023), after WoodFisher (Singh and Alistarh, NeurIPS 2020):

    theta + alpha d,   d = (F + lambda I)^-1 (1/N_r) sum_forget grad CE,   F = (1/m) G^T G

The rows of G [m, P] are the gradients of m retained samples, drawn by the seed. WoodFisher's recursion over
them is written here in its closed, equal form, Woodbury's identity, with one system of m unknowns:

    d = (v - G^T (m lambda I + G G^T)^-1 G v) / lambda

alpha = 1 is the Newton step. It presumes a minimum with a curvature that m samples show; a network that fits
its data has neither, and the step's length then tells of lambda alone. So lambda is stated as a multiple of
F's mean eigenvalue, and alpha is searched on the tuning set, by the step's length beside the weights'.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from workers.numerics import seeding
from workers.numerics.params import Params, trainable_names
from workers.unlearning import gradients, strengths
from workers.unlearning.base import ForgetProblem, Guarantee, Json, Kind, Need, UnlearnResult
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.gradients import flat, shaped
from workers.unlearning.parameters import parameter

LENGTHS = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # of a step, beside the length of the weights
MOST_NUMBERS = 2**28  # of G: a GiB in float32


@dataclass(frozen=True)
class InfluenceParameters:
    """The step.

    Attributes:
        alpha: its length in Newton steps.
        damping: lambda as a multiple of F's mean eigenvalue.
        num_samples: m; fewer, if G would not fit into a GiB or there are not as many.
    """

    alpha: float | None = parameter(
        None, "Length in Newton steps; null searches on held-out data.", minimum=0.0, maximum=1e12
    )
    damping: float = parameter(
        0.1, "lambda, as a multiple of the mean eigenvalue.", minimum=1e-6, maximum=1e6
    )
    num_samples: int = parameter(128, "Retained samples that show the curvature.", minimum=1, maximum=100_000)


class Influence:
    """The method as the registry finds it."""

    name = "influence"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET, Need.TUNING_SET})
    experimental = (
        "A network that fits its data has no curvature to take a Newton step by: what the step does hangs on "
        "its damping and length, and it seldom forgets without harm."
    )
    summary = "One Newton step away from the forget set, by the curvature that some retained samples show."
    caveats = (
        "The length is searched on held-out data; without a holdout split it must be stated.",
        "Seldom forgets a class without harm to the others.",
    )
    Parameters: type[InfluenceParameters] = InfluenceParameters

    def forget(self, problem: ForgetProblem, parameters: InfluenceParameters) -> UnlearnResult:
        """Take the step.

        Raises:
            MissingNeedError: there is nothing to forget or to keep, or a search has no held-out data.
            IneffectiveError: the forget set has no gradient, or no length leaves finite outputs.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        if parameters.alpha is None:
            problem.require(Need.TUNING_SET)
        model = problem.build()
        gradient = gradients.summed(model, problem.params, problem.forget)
        rows = _rows(problem, parameters.num_samples)
        step = newton(rows, flat([*gradient.values()]) / len(problem.retain), parameters.damping)
        length = float(torch.linalg.vector_norm(step))
        if not length > 0:
            raise IneffectiveError(
                "expected a forget set with a gradient, got none: the model is sure of all of it, choose "
                "another method"
            )

        def moved(alpha: float) -> Params:
            return _added(problem.params, shaped(alpha * step, gradient))

        diagnostics: dict[str, float | int | str] = {}
        alpha = parameters.alpha
        if alpha is None:
            reach = float(torch.linalg.vector_norm(_flat_weights(problem, [*gradient]))) / length
            alpha, opinion = strengths.best(problem, moved, [each * reach for each in LENGTHS])
            diagnostics["best"] = opinion.remark
        problem.progress(1.0)
        record: dict[str, Json] = {
            "alpha": alpha,
            "damping": parameters.damping,
            "num_samples": len(rows),
            "seed": problem.seed,
        }
        return UnlearnResult(params=moved(alpha), parameters=record, diagnostics=diagnostics)


METHOD = Influence()


def newton(rows: Tensor, vector: Tensor, damping: float) -> Tensor:
    """Return (F + lambda I)^-1 v for F = G^T G / m and lambda = damping trace(F) / m.

    Solved in float64 in the space of the m rows; exact for this F. Zero where G or v is.

    Args:
        rows: G [m, P], m of at least 1.
        vector: v [P].
        damping: above 0.
    """
    num_rows = len(rows)
    gram = (rows @ rows.T).double()  # [m, m]
    scale = damping * float(gram.trace()) / num_rows**2
    if scale == 0:
        return torch.zeros_like(vector)
    system = gram + num_rows * scale * torch.eye(num_rows, dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(system, (rows @ vector).double())  # [m]
    inside: Tensor = rows.T @ weights.to(rows.dtype)
    return (vector - inside) / scale


def _rows(problem: ForgetProblem, num_samples: int) -> Tensor:
    names = trainable_names(problem.build())
    num_weights = max(1, sum(problem.params[name].numel() for name in names))
    fitting = max(1, min(num_samples, len(problem.retain), MOST_NUMBERS // num_weights))
    order = torch.randperm(len(problem.retain), generator=seeding.generator(problem.seed, "curvature"))
    chosen = problem.retain.take(order[:fitting].numpy())
    return gradients.rows(problem.build(), problem.params, chosen)


def _flat_weights(problem: ForgetProblem, names: list[str]) -> Tensor:
    return flat([problem.params[name].float() for name in names])


def _added(params: Params, steps: Params) -> Params:
    """Return the weights moved by the steps, computed in the steps' type and rounded once."""
    moved = {
        name: (params[name].to(step.dtype) + step).to(params[name].dtype) for name, step in steps.items()
    }
    return {**params, **moved}
