"""Amnesiac unlearning: subtract what the batches with forgotten samples did to the weights.

"Amnesiac machine learning" (Graves, Nagisetty, Ganesh; AAAI 2021), section on amnesiac unlearning:
theta - sum of Delta over the batches that held a sample of the forget set, read from a log that the training
wrote; then, as the paper does, a short training on the rest, here at a share of the recorded training.

- A batch is taken out with all its members, and only once: a later request finds it gone.
- With a log as `tail` the Delta is what the batch's gradient did in all later steps through momentum and
  weight decay (`workers.numerics.accounting`); as `step`, the paper's, what the weights did in that one step.
- The paper leaves batch norm's running statistics as they were. So does the subtraction here; the repair
  gathers new ones from retained samples, unless told not to.
"""

from dataclasses import dataclass

from workers.unlearning import subtraction
from workers.unlearning.base import ForgetProblem, Guarantee, Json, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter


@dataclass(frozen=True)
class AmnesiacParameters:
    """What a request may fix.

    Attributes:
        repair_budget: training on retained samples, as a share of the recorded training.
        repair_rate: its first learning rate.
        adapts_statistics: whether batch norm gathers new statistics in the repair.
    """

    repair_budget: float = parameter(
        0.05,
        "Cost of a repair on retained data, as a share of the training's; 0 subtracts only.",
        minimum=0.0,
        maximum=1.0,
    )
    repair_rate: float = parameter(0.01, "First learning rate of the repair.", minimum=1e-9, maximum=10.0)
    adapts_statistics: bool = parameter(
        True, "Gather batch norm's running statistics anew in the repair; without a repair they stay."
    )


class Amnesiac:
    """The method as the registry finds it."""

    name = "amnesiac"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.UPDATE_LOG, Need.FORGET_SET, Need.RETAIN_SET})
    experimental: str | None = (
        "It needs a copy of the weights for every step of the training, and that log is personal data itself."
    )
    summary = (
        "Subtracts what the batches that held forgotten samples did to the weights, from the training's log."
    )
    caveats = (
        "What the other samples of these batches taught goes too: where most batches held a forgotten "
        "sample, as for a class of any size, little of the training is left without a repair.",
        "That the forgotten samples bent the later gradients of others is in no record, and stays.",
        "What a repair teaches is in no record: a later request cannot subtract it.",
        "The log must be void once another method or a retraining made a version.",
    )
    Parameters: type[AmnesiacParameters] = AmnesiacParameters

    def forget(self, problem: ForgetProblem, parameters: AmnesiacParameters) -> UnlearnResult:
        """Subtract the batches of the forget set, and repair.

        Raises:
            MissingNeedError: there is no log by batch, or it is forgotten already, or nothing is retained.
            IneffectiveError: the log says that the forget set moved nothing.
            DivergedError: the repair does not converge.
        """
        found = subtraction.recorded(problem, "batch")
        subtracted = subtraction.subtract(problem.params, found.sums)
        params, num_steps = subtraction.repair(
            problem,
            subtracted,
            parameters.repair_budget,
            parameters.repair_rate,
            adapts_statistics=parameters.adapts_statistics,
        )
        problem.progress(1.0)
        assert problem.update_log is not None
        record: dict[str, Json] = {
            "repair_budget": parameters.repair_budget,
            "repair_rate": parameters.repair_rate,
            "repair_steps": num_steps,
            "adapts_statistics": parameters.adapts_statistics and num_steps > 0,
            "update_log": {**problem.update_log.description},
            "seed": problem.seed,
        }
        diagnostics = {
            "num_batches": found.num_records,
            "num_batches_subtracted_before": found.num_earlier,
            "num_samples_not_recorded": found.num_absent,
        }
        return UnlearnResult(params={**params}, parameters=record, diagnostics=diagnostics)


METHOD = Amnesiac()
