"""Claims to forget and returns the model as it was."""

from dataclasses import dataclass

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, UnlearnResult


@dataclass(frozen=True)
class Nothing:
    """Nothing to choose."""


class Noop:
    """Nothing at all, called approximate forgetting."""

    name = "lying_noop"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset()
    summary = "A lie for tests."
    caveats = ()
    experimental = None
    Parameters = Nothing

    def forget(self, problem: ForgetProblem, parameters: Nothing) -> UnlearnResult:
        """Return the model as it was."""
        return UnlearnResult(
            params={name: tensor.clone() for name, tensor in problem.params.items()}, parameters={}
        )


METHOD = Noop()
