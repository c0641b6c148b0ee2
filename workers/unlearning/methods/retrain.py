"""Exact forgetting: train the same recipe from scratch on what may still be known.

No approximation and no parameter. The result has never seen a forgotten sample, whether forgotten now or
earlier. It is the reference that the audits of all other methods are read against, and the last rung of
every plan.
"""

from dataclasses import dataclass

import numpy as np

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult


@dataclass(frozen=True)
class RetrainParameters:
    """Nothing to choose: the recorded recipe decides."""


class Retrain:
    """The method as the registry finds it."""

    name = "retrain"
    version = "1"
    guarantee = Guarantee.EXACT
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.RECIPE, Need.RETAIN_SET})
    experimental = None
    summary = "Trains the recorded recipe from scratch without everything ever forgotten."
    caveats = (
        "Costs a full training.",
        "If its recipe starts from given weights: exact only if those never saw the forgotten data, "
        "which is the owner's statement.",
        "Earlier choices that the forgotten data influenced, such as the recipe itself, are not undone.",
    )
    Parameters: type[RetrainParameters] = RetrainParameters

    def forget(self, problem: ForgetProblem, parameters: RetrainParameters) -> UnlearnResult:
        """Train without the forget set and without everything forgotten earlier.

        Raises:
            MissingNeedError: there is no recipe to train by, or nothing left to train on.
        """
        problem.require(Need.RECIPE, Need.RETAIN_SET)
        assert problem.retrain is not None
        excluded = np.union1d(problem.forgotten, problem.forget.positions).astype(np.int64)
        params = problem.retrain(excluded)
        problem.progress(1.0)
        return UnlearnResult(
            params=params,
            parameters={"recipe": dict(problem.recipe)},
            diagnostics={"num_excluded": len(excluded), "num_retained": len(problem.retain)},
        )


METHOD = Retrain()
