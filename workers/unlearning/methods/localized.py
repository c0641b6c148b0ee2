"""Localized unlearning: find the weights the forget set lives in, and unlearn in these alone; by default DEL.

"Improved localized machine unlearning through the lens of memorization" (Torkzadehmahani and others; TMLR
2025). A localized method is a pair of a *strategy*, which says what weights may move (`localization`), and a
*step*, which moves them:

    reset            masked weights get new initial values; then descent on L(retain)
    random_label     descent on  beta L(retain) + (1 - beta) L(forget, random labels)
    neg_grad_plus    descent on  beta L(retain) - (1 - beta) L(forget)

L is the mean cross entropy of a batch. Random labels are those of `relabelling`; ascent ends at the ceiling
of `ascent`; both have their gradients held to a norm of one. `del` with `reset` is Deletion by Example
Localization (section 5.2), `deepest` with `reset` EU-k, `sal_loc` with `random_label` SalUn. `reset` trains
the last layer too (section 4), without resetting it.

What differs from the paper. It trains as long as retraining takes; here the search for the weights and the
training together cost a share of that. Learning rates there are chosen per strategy, budget and task against
a retrained model; here there is one, chosen once on held-out digits. Its code scores a channel by as
many weights as a tenth of the layer has channels, here it is a tenth of the channel's own weights.

Weights outside the mask keep their bytes. Batch norm keeps its statistics too, but under `reset`: they
describe activations that are no more, and with them training on the new weights does not converge.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from torch import Tensor

from workers.unlearning import head
from workers.unlearning.base import ForgetProblem, Guarantee, Json, Kind, Need, UnlearnResult
from workers.unlearning.errors import ParametersError
from workers.unlearning.localization import strategies
from workers.unlearning.localization.strategies import Located, Strategy
from workers.unlearning.parameters import parameter
from workers.unlearning.training import ascent, budget, courses, descent, fresh, losses
from workers.unlearning.training.descent import Batch, Loss, Network
from workers.unlearning.training.relabelling import relabelled

LOCATING = 0.5  # the share of the compute budget, and of progress, that finding the weights has at most


class Step(StrEnum):
    """What is done to the weights found."""

    RESET = "reset"
    RANDOM_LABEL = "random_label"
    NEG_GRAD_PLUS = "neg_grad_plus"


RETAIN_WEIGHTS = {Step.RESET: 1.0, Step.RANDOM_LABEL: 0.5, Step.NEG_GRAD_PLUS: 0.95}


@dataclass(frozen=True)
class LocalizedParameters:
    """The pair, and how far it goes.

    Attributes:
        strategy: one of `Strategy`.
        step: one of `Step`.
        parameter_share: of the trainable weights that may move, the last layer under `reset` not counted.
        top_share: of a channel's weights that score it.
        retain_weight: beta.
        trains_head: the paper's exception for the last layer.
        learning_rate: at the first step; falls along a half cosine to zero.
        weight_decay: of masked weights.
        adapts_statistics: whether batch norm's statistics follow.
        budget: share of a training's cost.
        batch_size: samples of each set in a step.
    """

    strategy: str = parameter(
        Strategy.DEL.value, "Where to look: del, sal_loc, crit_mem, deepest, shallowest."
    )
    step: str = parameter(Step.RESET.value, "What to do there: reset, random_label, neg_grad_plus.")
    parameter_share: float = parameter(
        0.3, "Share of the trainable weights that may move.", minimum=1e-6, maximum=1.0
    )
    top_share: float = parameter(
        0.1, "del: share of a channel's weights, the largest, that score it.", minimum=1e-6, maximum=1.0
    )
    retain_weight: float | None = parameter(
        None,
        "Weight beta of the retained data's loss; null: 0.5 for random_label, 0.95 for neg_grad_plus.",
        minimum=0.0,
        maximum=1.0,
    )
    trains_head: bool = parameter(True, "reset: the last layer is trained too, whether masked or not.")
    learning_rate: float = parameter(
        0.05, "First learning rate; falls along a half cosine to zero.", minimum=1e-9, maximum=10.0
    )
    weight_decay: float = parameter(0.0, "Weight decay of masked weights.", minimum=0.0, maximum=1.0)
    adapts_statistics: bool | None = parameter(
        None, "Whether batch norm's statistics follow the new weights; null: under reset alone."
    )
    budget: float = parameter(
        0.1, "Cost as a share of training, the search for the weights included.", minimum=1e-6, maximum=1.0
    )
    batch_size: int = parameter(32, "Samples of each set in a step.", minimum=1, maximum=65_536)

    def __post_init__(self) -> None:
        for name, known in (("strategy", Strategy), ("step", Step)):
            if getattr(self, name) not in [*known]:
                raise ParametersError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}: correct it"
                )

    @property
    def beta(self) -> float:
        """The weight of the retained data's loss."""
        return RETAIN_WEIGHTS[Step(self.step)] if self.retain_weight is None else self.retain_weight

    @property
    def is_adapting(self) -> bool:
        """Whether batch norm's statistics follow."""
        return self.step == Step.RESET if self.adapts_statistics is None else self.adapts_statistics

    def course(self, problem: ForgetProblem, spent: float) -> descent.Course:
        """Return the course that the budget pays for.

        Args:
            problem: whose recipe says what training costs.
            spent: samples passed before.
        """
        is_reset = self.step == Step.RESET
        sets = [problem.retain] if is_reset else [problem.retain, problem.forget]
        each = sum(min(self.batch_size, len(samples)) for samples in sets)
        return descent.Course(
            budget.num_steps(problem, self.budget, each, spent=spent),
            self.learning_rate,
            weight_decay=self.weight_decay,
            adapts_statistics=self.is_adapting,
            max_gradient_norm=None if is_reset else courses.MAX_GRADIENT_NORM,
        )


class Localized:
    """The method as the registry finds it."""

    name = "localized"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = (
        "Reads all retained data, its settings were published against a retrained model that nobody has at "
        "forget time, and memorised samples remain recognisable to an attack on single samples."
    )
    summary = (
        "Unlearns in a small share of the weights, those that the forget set depends on; by default DEL, "
        "which resets them and trains them anew on retained data."
    )
    caveats = (
        "Reads retained data, for a tenth of a training by default; the paper trains ten times as long.",
        "The share of weights and the learning rate are not chosen for the model: look at the audit.",
        "Memorised samples are misclassified afterwards and still stand out to an attack that knows them.",
    )
    Parameters: type[LocalizedParameters] = LocalizedParameters

    def forget(self, problem: ForgetProblem, parameters: LocalizedParameters) -> UnlearnResult:
        """Find the weights, reset them if that is the step, and descend on them.

        Raises:
            MissingNeedError: there is no forget set, or no retained data.
            IneffectiveError: the share is smaller than the first unit of the strategy, the forget set gives
                no usable gradient, or there is no other class to relabel as.
            DivergedError: the descent does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        step = Step(parameters.step)
        total = parameters.budget * budget.training_samples(problem)
        located = strategies.locate(
            problem,
            Strategy(parameters.strategy),
            share=parameters.parameter_share,
            top_share=parameters.top_share,
            max_passes=LOCATING * total,
            progress=lambda done: problem.progress(LOCATING * done),
        )
        problem.progress(LOCATING)

        model, start, movable = problem.build(), problem.params, {**located.masks}
        if step is Step.RESET:
            start = fresh.reset_where(problem, start, movable)
            if parameters.trains_head:
                movable |= descent.whole(start, head.names(problem))
        spent = located.num_passes
        if step is Step.NEG_GRAD_PLUS:
            spent += round(budget.FORWARD_SHARE * len(problem.forget))  # to find the ceiling
        course = parameters.course(problem, spent)
        params = descent.descend(
            model,
            start,
            _sets(problem, step, parameters.batch_size),
            _loss(problem, step, parameters.beta),
            course,
            mask=movable,
            seed=problem.seed,
            progress=lambda done: problem.progress(LOCATING + (1 - LOCATING) * done),
        )
        return UnlearnResult(
            params=params,
            parameters=_record(problem, parameters, course),
            diagnostics=_diagnostics(problem, located, movable),
        )


METHOD = Localized()


def _sets(problem: ForgetProblem, step: Step, batch_size: int) -> list[Iterator[Batch]]:
    """Return the step's sets, the retained one first."""
    retained, forgotten = (
        descent.stream(samples, batch_size, problem.params, problem.seed, name)
        for samples, name in ((problem.retain, "retain"), (problem.forget, "forget"))
    )
    if step is Step.RESET:
        return [retained]
    if step is Step.RANDOM_LABEL:
        return [retained, relabelled(problem, forgotten, "forget")]
    return [retained, forgotten]


def _loss(problem: ForgetProblem, step: Step, beta: float) -> Loss:
    """Return what the step makes smaller; the first set is retained, the second to forget."""
    if step is Step.RESET:
        return losses.of_one_set
    if step is Step.NEG_GRAD_PLUS:
        ceiling = ascent.ceiling_of(problem)

        def ascending(network: Network, batches: Sequence[Batch]) -> Tensor:
            kept = losses.cross_entropy(network, batches[0])
            gone = ascent.bounded_surplus(network, batches[1], ceiling)
            return beta * kept - (1 - beta) * gone

        return ascending

    def descending(network: Network, batches: Sequence[Batch]) -> Tensor:
        kept, gone = (losses.cross_entropy(network, batch) for batch in batches)
        return beta * kept + (1 - beta) * gone

    return descending


def _record(
    problem: ForgetProblem, parameters: LocalizedParameters, course: descent.Course
) -> dict[str, Json]:
    return {
        **asdict(parameters),
        "retain_weight": parameters.beta,
        **course.to_json(),
        "seed": problem.seed,
    }


def _diagnostics(
    problem: ForgetProblem, located: Located, movable: dict[str, Tensor]
) -> dict[str, float | int | str]:
    return {
        "num_located_weights": located.num_weights,
        "num_movable_weights": sum(int(mask.sum()) for mask in movable.values()),
        "num_locating_passes": located.num_passes,
    }
