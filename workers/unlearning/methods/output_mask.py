"""Masking a class's output: the answer is never given again, and nothing is forgotten.

The logit of a class is its row of the last layer times the features, plus its bias:

    z_F(x) = w_F . f(x) + b_F

With b_F far below anything that the first term can reach, the class loses against every other one on every
input. It takes microseconds, no data, and no search; taking one number back takes it all back. That is why
the guarantee is `suppressed`: an answer within seconds, while the class is forgotten by other means.

The bias is found by what it does (`output_layer`): the tensor with one number a class whose part in the
logit is the same whatever is shown. Where there are several, as in an ensemble, each gives its share.
"""

from dataclasses import dataclass

import torch

from workers.numerics import output_layer, seeding
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, UnlearnResult
from workers.unlearning.errors import IneffectiveError

DEPTH = 1e4
"""How far a logit is lowered: beyond any that a network gives, and within half precision."""

NUM_PROBES = 2
"""Images that the bias's part in the logit is compared on."""


@dataclass(frozen=True)
class OutputMaskParameters:
    """Nothing to choose: a mask either holds for good or is none."""


class OutputMask:
    """The method as the registry finds it."""

    name = "output_mask"
    version = "1"
    guarantee = Guarantee.SUPPRESSED
    kinds = frozenset({Kind.CLASS})
    needs = frozenset[str]()
    experimental = None
    summary = "Masks a class's output within milliseconds: it is never answered again, and not forgotten."
    caveats = (
        "Class requests only.",
        "Nothing is forgotten: the weights hold all that they held, and one number brings the class back.",
        "Published as an interim version only, unless a person accepts it.",
    )
    Parameters: type[OutputMaskParameters] = OutputMaskParameters

    def forget(self, problem: ForgetProblem, parameters: OutputMaskParameters) -> UnlearnResult:
        """Lower the bias of each class's output beyond reach.

        Raises:
            IneffectiveError: the last layer has no bias that belongs to a class alone.
        """
        params = {**problem.params}
        shares = {label: _shares(problem, label) for label in sorted(problem.classes)}
        for label, biases in shares.items():
            for name, share in biases.items():
                masked = params[name].clone()
                masked[label] -= DEPTH / (share * len(biases))
                params[name] = masked
        problem.progress(1.0)
        return UnlearnResult(
            params=params,
            parameters={"depth": DEPTH},
            diagnostics={"num_biases": max(len(biases) for biases in shares.values())},
        )


METHOD = OutputMask()


def _shares(problem: ForgetProblem, label: int) -> dict[str, float]:
    """Return the biases of a class's output: name -> by how much the logit rises with it, above 0.

    Raises:
        IneffectiveError: there is none.
    """
    model = problem.build()
    weight = next(tensor for tensor in problem.params.values() if tensor.is_floating_point())
    shape = tuple(problem.tuning.source.input_shape)
    noise = seeding.generator(problem.seed, "mask probes")
    probes = [torch.randn(shape, generator=noise).to(weight) for _ in range(NUM_PROBES)]
    rows = [
        output_layer.row_gradients(model, problem.params, probe, label, problem.num_classes)
        for probe in probes
    ]
    found = {
        name: float(slope)
        for name, slope in rows[0].items()
        if slope.ndim == 0
        and float(slope) > 0
        and all(name in other and torch.equal(other[name], slope) for other in rows)
    }
    if not found:
        raise IneffectiveError(
            f"expected a last layer with a bias that class {label} has to itself, got none: choose another "
            "method"
        )
    return found
