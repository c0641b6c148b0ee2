"""Exact forgetting in a model trained in shards: only what learned from the forgotten is trained again.

"Machine unlearning" (Bourtoule et al., IEEE S&P 2021), sections IV and V. Each constituent network learned
from its own shard, slice after slice. A constituent whose shard holds no forgotten sample stays as it is; any
other is trained again from the state before the first slice that holds one, if that was kept, else from its
beginning. What comes out is, byte for byte, what training by the recipe without the forgotten gives.

With S shards of R slices one sample costs on average (2 R + 1) / (3 R S) of a training with all states kept,
1 / S without. A request that reaches every shard, as one for a class does, costs nearly a whole training.
"""

from dataclasses import dataclass

import numpy as np

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult


@dataclass(frozen=True)
class SisaParameters:
    """Nothing to choose: the recorded recipe decides."""


class Sisa:
    """The method as the registry finds it."""

    name = "sisa"
    version = "1"
    guarantee = Guarantee.EXACT
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.RECIPE, Need.RETAIN_SET, Need.SLICES})
    experimental = None
    summary = (
        "Trains again only the networks of an ensemble whose shard of the data holds something forgotten."
    )
    caveats = (
        "The model must have been trained in shards or slices, which costs accuracy: the more, the more.",
        "A class, or samples in every shard, cost nearly a whole training.",
        "Networks taken over from the uploaded weights, and states kept by the training: exact only if the "
        "recorded recipe is how these came about, which is the owner's statement.",
        "If its recipe starts from given weights: exact only if those never saw the forgotten data, "
        "which is the owner's statement.",
        "How the other samples are dealt to shards still follows from the whole manifest, in which a "
        "forgotten sample keeps its row and its class.",
    )
    Parameters: type[SisaParameters] = SisaParameters

    def forget(self, problem: ForgetProblem, parameters: SisaParameters) -> UnlearnResult:
        """Train without the forget set and without everything forgotten earlier, as far as need be.

        Raises:
            MissingNeedError: there is no recipe to train by, none with shards, or nothing left to train on.
        """
        problem.require(Need.RECIPE, Need.SLICES, Need.RETAIN_SET)
        assert problem.replay is not None
        excluded = np.union1d(problem.forgotten, problem.forget.positions).astype(np.int64)
        replayed = problem.replay(excluded)
        problem.progress(1.0)
        return UnlearnResult(
            params=replayed.params,
            parameters={"recipe": dict(problem.recipe)},
            diagnostics={
                "num_excluded": len(excluded),
                "num_constituents": replayed.num_constituents,
                "num_trained": replayed.num_trained,
                "share_of_training": replayed.steps_done / max(1, replayed.steps),
            },
        )


METHOD = Sisa()
