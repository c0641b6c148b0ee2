"""Per-sample amnesiac unlearning: subtract what each forgotten sample's own gradients did to the weights.

"Per-sample amnesiac unlearning" (Marincione; 2024), section 3: one record a sample, the sum over the training
of its own gradients at a random fraction p of the weights, taken out of the weights; then, in the paper's
last column, a training on the rest, here at a share of the recorded training.

- The paper stores raw gradients of a training by Adam and subtracts them as they are. Here a record holds
  what the sample's part of each batch gradient did to the final weights under SGD, momentum and weight decay,
  held linear (`workers.numerics.accounting`): no strength is left to choose.
- Other samples' records are not touched, and requests come in any order to the same weights.
- It serves networks without batch norm and dropout, for only those have gradients by sample.
"""

from dataclasses import dataclass

from workers.unlearning import subtraction
from workers.unlearning.base import ForgetProblem, Guarantee, Json, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter


@dataclass(frozen=True)
class AmnesiacSamplesParameters:
    """What a request may fix.

    Attributes:
        repair_budget: training on retained samples, as a share of the recorded training.
        repair_rate: its first learning rate.
    """

    repair_budget: float = parameter(
        0.05,
        "Cost of a repair on retained data, as a share of the training's; 0 subtracts only.",
        minimum=0.0,
        maximum=1.0,
    )
    repair_rate: float = parameter(0.01, "First learning rate of the repair.", minimum=1e-9, maximum=10.0)


class AmnesiacSamples:
    """The method as the registry finds it."""

    name = "amnesiac_samples"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.UPDATE_LOG, Need.FORGET_SET, Need.RETAIN_SET})
    experimental: str | None = (
        "It needs a share of the weights for every training sample, and that log is personal data itself."
    )
    summary = (
        "Subtracts what the forgotten samples' own gradients did to the weights, from the training's log."
    )
    caveats = (
        "With a small recorded share of the weights the forgotten samples are still recognised. With a large "
        "one the rest is damaged: what samples push for again and again, others push back, and only the one "
        "side is taken out.",
        "That the forgotten samples bent the later gradients of others is in no record, and stays.",
        "What a repair teaches is in no record: a later request cannot subtract it.",
        "The log must be void once another method or a retraining made a version.",
    )
    Parameters: type[AmnesiacSamplesParameters] = AmnesiacSamplesParameters

    def forget(self, problem: ForgetProblem, parameters: AmnesiacSamplesParameters) -> UnlearnResult:
        """Subtract the records of the forget set, and repair.

        Raises:
            MissingNeedError: there is no log by sample, or it is forgotten already, or nothing is retained.
            IneffectiveError: the log says that the forget set moved nothing.
            DivergedError: the repair does not converge.
        """
        found = subtraction.recorded(problem, "sample")
        subtracted = subtraction.subtract(problem.params, found.sums)
        params, num_steps = subtraction.repair(
            problem, subtracted, parameters.repair_budget, parameters.repair_rate, adapts_statistics=False
        )
        problem.progress(1.0)
        assert problem.update_log is not None
        record: dict[str, Json] = {
            "repair_budget": parameters.repair_budget,
            "repair_rate": parameters.repair_rate,
            "repair_steps": num_steps,
            "update_log": {**problem.update_log.description},
            "seed": problem.seed,
        }
        diagnostics = {"num_records": found.num_records, "num_samples_not_recorded": found.num_absent}
        return UnlearnResult(params={**params}, parameters=record, diagnostics=diagnostics)


METHOD = AmnesiacSamples()
