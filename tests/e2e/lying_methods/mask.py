"""Claims to forget a class and only forbids its output: its last bias goes to minus ten thousand."""

from dataclasses import dataclass

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, UnlearnResult


@dataclass(frozen=True)
class Nothing:
    """Nothing to choose."""


class Mask:
    """A logit mask that calls itself approximate forgetting."""

    name = "lying_mask"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS})
    needs = frozenset()
    summary = "A lie for tests."
    caveats = ()
    experimental = None
    Parameters = Nothing

    def forget(self, problem: ForgetProblem, parameters: Nothing) -> UnlearnResult:
        """Return the model with the forgotten outputs out of reach."""
        params = {name: tensor.clone() for name, tensor in problem.params.items()}
        bias = next(name for name in reversed(params) if params[name].shape == (problem.num_classes,))
        for label in problem.classes:
            params[bias][label] = -1e4
        return UnlearnResult(params=params, parameters={})


METHOD = Mask()
