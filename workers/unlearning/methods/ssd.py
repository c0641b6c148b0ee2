"""Selective synaptic dampening: shrink the weights that matter to the forget set more than to all the rest.

"Fast machine unlearning without retraining through selective synaptic dampening" (Foster, Schoepf, Brintrup;
AAAI 2024), Equation 4 and Algorithm 1, on exact per-sample Fisher information; see `dampening` for the share
rho that takes the place of alpha. A request may state rho or alpha, and lambda (here `dampening`); what it
leaves open is searched on the tuning set, guarded by what the rest of the model loses.

- A class request reads no training data: I_f and I_D come from the Fishers kept per class. Several classes
  go strictly one after the other, each against the remaining ones; at once they spoil each other. The
  strength is the one with the highest accuracy on remaining classes plus error on the worst forgotten
  class, counted and as probabilities.
- Only where no strength both forgets and keeps the rest are the best few repaired, by a short training on
  retained data; the best outcome is taken, repaired or not. A request may forbid that, or demand it.
- A sample request takes I_f on the forget set at the current weights. Among the strengths that cost at most
  one point of accuracy it prefers those after which the forget set is as confident as unseen samples of its
  classes, neither remembered nor conspicuously forgotten, and of these the one that moves it farthest.
- Biases and BatchNorm's weights are weights; its running statistics stay as they are.
"""

import dataclasses
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from workers.numerics.importance import Importance
from workers.numerics.params import Params
from workers.unlearning import apportioning
from workers.unlearning.base import ForgetProblem, Guarantee, Json, Kind, Need, UnlearnResult
from workers.unlearning.dampening import Shares, Strength
from workers.unlearning.errors import DivergedError, ParametersError
from workers.unlearning.judges import ClassJudge, SampleJudge
from workers.unlearning.parameters import Rehearsed, parameter
from workers.unlearning.training.repair import Course
from workers.unlearning.trials import Candidate, repaired, search

CLASS_RHOS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CLASS_DAMPENINGS = (0.03, 0.1, 0.3, 1.0)
SAMPLE_QUANTILES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3)  # of weights selected: few samples, small shares
SAMPLE_FACTORS = (0.1, 0.5, 1.0)  # what a weight just selected is multiplied by
NUM_REPORTED = 3
REHEARSED_SETTINGS: Rehearsed = {
    Kind.CLASS: (
        *({"rho": rho, "repair": False} for rho in (0.3, 0.1, 0.5)),
        {"rho": 0.1, "dampening": 0.3, "repair": True},
        {},
    ),
    Kind.SAMPLES: ({}, {"repair": True, "repair_steps": 50}),
}
"""A stated rho leaves only the dampening to search, a twentieth of the cost of a whole search; a strength
that is stated whole is repaired once, where a search repairs several."""


@dataclass(frozen=True)
class SsdParameters:
    """What a request may fix; what it leaves open is searched on held-out data.

    Attributes:
        rho: select the weights of whose information the forget set holds more than this share.
        alpha: the paper's selection weight, in place of rho.
        dampening: the paper's lambda.
        importance: what is measured of each weight, one of `Importance`.
        repair: whether to train on retained data afterwards; None if dampening alone will not do.
        repair_steps: how long, in batches of 64.
        repair_rate: the first learning rate of the repair.
    """

    REHEARSED: ClassVar[Rehearsed] = REHEARSED_SETTINGS

    rho: float | None = parameter(
        None, "Select weights above this share of information; null searches.", minimum=0.0, maximum=1.0
    )
    alpha: float | None = parameter(
        None, "The paper's alpha (Eq. 4), in place of rho.", minimum=0.0, maximum=1e9
    )
    dampening: float | None = parameter(
        None, "The paper's lambda (Eq. 4); null searches.", minimum=0.0, maximum=1e9
    )
    importance: str = parameter(
        Importance.PER_SAMPLE.value,
        "per_sample: Fisher information, as kept; experimental, read all retained data: batch (squared "
        "batch-mean gradients, as published experiments used), label_free (gradients of the logits' norm).",
    )
    repair: bool | None = parameter(
        None,
        "Train shortly on retained data afterwards; null: for class requests that no strength serves well.",
    )
    repair_steps: int = parameter(
        150, "Steps of a repair, 64 retained samples each.", minimum=1, maximum=1_000_000
    )
    repair_rate: float = parameter(
        0.01, "First learning rate of a repair; cut if it diverges.", minimum=1e-9, maximum=10.0
    )

    def __post_init__(self) -> None:
        if self.rho is not None and self.alpha is not None:
            raise ParametersError("rho and alpha both select weights, got both: state one of them")
        if self.importance not in [*Importance]:
            known = ", ".join(Importance)
            raise ParametersError(f"importance must be one of {known}, got {self.importance!r}: correct it")

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to search."""
        return self.dampening is not None and (self.rho is not None or self.alpha is not None)

    @property
    def course(self) -> Course:
        """How to repair."""
        return Course(self.repair_steps, self.repair_rate)


class Ssd:
    """The method as the registry finds it."""

    name = "ssd"
    version = "3"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.CLASS_FISHERS, Need.FORGET_SET, Need.TUNING_SET})
    experimental = None
    summary = (
        "Shrinks the weights that hold mostly the forget set's information; seconds, no training as a rule."
    )
    caveats = (
        "The strength is searched on held-out data; without a holdout split it must be stated.",
        "Samples that the model would recognise anyway end no nearer to what a retrained model says.",
        "Samples that the model knows by heart, such as mislabelled ones, do not come out without harm to "
        "the rest; a set made up of them is refused, a few among many go unnoticed.",
        "Repeated requests drift away from the weights that the class Fishers were taken at.",
        "Where dampening alone breaks the model, a class request reads retained data to repair it.",
    )
    Parameters: type[SsdParameters] = SsdParameters

    def forget(self, problem: ForgetProblem, parameters: SsdParameters) -> UnlearnResult:
        """Forget classes one after the other, or the samples together.

        Raises:
            MissingNeedError: class Fishers are missing or not finite, a search has no held-out data, or a
                repair or another importance has no retained data.
            IneffectiveError: no strength changes any weight and leaves finite outputs, or the samples are
                too unlike unseen ones for a search.
            DivergedError: the repair that the request asks for does not converge.
        """
        quantity = Importance(parameters.importance)
        _require(problem, parameters, quantity)
        params = problem.params
        start = apportioning.progress_before(quantity)
        strengths: list[Json] = []
        diagnostics: dict[str, float | int | str] = {}

        parts = apportioning.parts(problem, quantity)
        for done, part in enumerate(parts):
            here = _standing(problem, start + (1 - start) * done / len(parts))
            params, ranked = _step(here, params, part.shares(), parameters, part.label)
            strengths.append({"class": part.label, **ranked[0].to_json()})
            diagnostics[f"{part}_change"] = ranked[0].change
            for place, tried in enumerate(ranked[:NUM_REPORTED], start=1):
                diagnostics[f"{part}_best_{place}"] = str(tried)
        problem.progress(1.0)

        record: dict[str, Json] = {
            "rho": parameters.rho,
            "alpha": parameters.alpha,
            "dampening": parameters.dampening,
            "importance": parameters.importance,
            "repair": parameters.repair,
            "repair_steps": parameters.repair_steps,
            "repair_rate": parameters.repair_rate,
            "strengths": strengths,
            "seed": problem.seed,
        }
        return UnlearnResult(params={**params}, parameters=record, diagnostics=diagnostics)


METHOD = Ssd()


def _require(problem: ForgetProblem, parameters: SsdParameters, quantity: Importance) -> None:
    problem.require(Need.FORGET_SET)
    if quantity is Importance.PER_SAMPLE:
        problem.require(Need.CLASS_FISHERS)
    if not parameters.is_complete:
        problem.require(Need.TUNING_SET)
    if parameters.repair:
        problem.require(Need.RETAIN_SET)


def _standing(problem: ForgetProblem, done: float) -> ForgetProblem:
    """Return the problem with a listener that is told the same fraction again and again, and may cancel.

    How many trainings a repair takes is not known before, and progress must not fall back.
    """
    return dataclasses.replace(problem, progress=lambda _: problem.progress(done))


def _step(
    problem: ForgetProblem,
    params: Params,
    shares: Shares,
    parameters: SsdParameters,
    forgotten: int | None,
) -> tuple[Params, list[Candidate]]:
    """Forget one class, or all samples; return the weights, and what was tried, the one taken first."""
    judge = None if parameters.is_complete else _judge(problem, forgotten)
    ranked = search(shares, params, _grid(shares, parameters, problem.kind), judge)
    dampened = shares.dampen(params, ranked[0].strength)
    if not _wants_repair(problem, parameters, ranked[0]):
        return dampened, ranked
    if isinstance(judge, ClassJudge):
        # A repair brings back first what was learned: the forget set may return where unseen samples do not.
        judge = judge.with_forget_set(problem)
    best = dataclasses.replace(ranked[0], opinion=judge(dampened) if judge else None)
    try:
        found, mended = repaired(problem, problem.build(), shares, params, ranked, judge, parameters.course)
    except DivergedError:
        if parameters.repair:
            raise
        return dampened, ranked
    if parameters.repair or found.rank < best.rank:
        return mended, [found, *ranked]
    return dampened, [best, found, *ranked[1:]]


def _judge(problem: ForgetProblem, forgotten: int | None) -> ClassJudge | SampleJudge:
    if forgotten is None:
        return SampleJudge.of(problem)
    return ClassJudge.of(problem, [label for label in problem.classes if label <= forgotten])


def _wants_repair(problem: ForgetProblem, parameters: SsdParameters, best: Candidate) -> bool:
    if parameters.repair is not None:
        return parameters.repair
    is_wanting = best.opinion is not None and not best.opinion.is_good
    return is_wanting and problem.kind is Kind.CLASS and len(problem.retain) > 0


def _grid(shares: Shares, parameters: SsdParameters, kind: Kind) -> list[Strength]:
    """Return the strengths to try; what the request states is not varied."""
    if parameters.alpha is not None:
        rhos: Iterable[float] = [parameters.alpha * shares.fraction]
    elif parameters.rho is not None:
        rhos = [parameters.rho]
    else:
        rhos = CLASS_RHOS if kind is Kind.CLASS else shares.quantiles(SAMPLE_QUANTILES)
    if parameters.dampening is not None:
        return [shares.strength(rho, parameters.dampening) for rho in rhos]
    if kind is Kind.CLASS:
        return [shares.strength(rho, each) for rho, each in itertools.product(rhos, CLASS_DAMPENINGS)]
    return [
        shares.strength(rho, factor * rho / shares.fraction)
        for rho, factor in itertools.product(rhos, SAMPLE_FACTORS)
    ]
