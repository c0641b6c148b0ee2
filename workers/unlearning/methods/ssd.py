"""Selective synaptic dampening: shrink the weights that matter to the forget set more than to all the rest.

"Fast machine unlearning without retraining through selective synaptic dampening" (Foster, Schoepf, Brintrup;
AAAI 2024), Equation 4 and Algorithm 1, on exact per-sample Fisher information:

    w_i <- min(lambda I_D,i / I_f,i, 1) w_i     where I_f,i > alpha I_D,i                (4)

No alpha fits two models: I_f / I_D is at most N / n_f, so the published alpha = 10 selects nothing when one
of ten classes goes. Selection is therefore by the forget set's share of a weight's information,

    rho_i = n_f I_f,i / (N I_D,i)  in [0, 1]

which makes (4) select rho_i > rho = alpha n_f / N and multiply by min(lambda n_f / (N rho_i), 1). A request
may state rho or alpha, and lambda (here `dampening`); what it leaves open is searched on the tuning set.

- A class request reads no training data: I_f and I_D come from the Fishers kept per class. Several classes
  go strictly one after the other, each against the remaining ones; at once they spoil each other. The
  strength is the one with the highest accuracy on remaining classes plus error on the worst forgotten
  class, counted and as probabilities.
- A sample request takes I_f on the forget set at the current weights. Among the strengths that cost at most
  one point of accuracy it takes the one after which the forget set is as confident as unseen samples of its
  classes: neither remembered nor conspicuously forgotten.
- Biases and BatchNorm's weights are weights; its running statistics stay as they are.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.numerics.fisher import diagonal_fisher
from workers.numerics.params import Params
from workers.unlearning.base import ForgetProblem, Guarantee, Json, Kind, Need, UnlearnResult
from workers.unlearning.errors import IneffectiveError, MissingNeedError, ParametersError
from workers.unlearning.parameters import parameter
from workers.unlearning.rehearsal import Panel

CLASS_RHOS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CLASS_DAMPENINGS = (0.1, 0.3, 1.0)
SAMPLE_QUANTILES = (
    3e-4,
    1e-3,
    3e-3,
    1e-2,
    3e-2,
    0.1,
    0.3,
)  # of weights selected: few samples have small shares
SAMPLE_FACTORS = (0.1, 0.5, 1.0)  # what a weight just selected is multiplied by
MAX_UTILITY_DROP = 0.01
GAP_TOLERANCE = 0.01  # log odds; closer gaps are equal, and the smaller change wins
MAX_KEPT_SAMPLES = 1000
MAX_GONE_SAMPLES = 200
FISHER_BATCH_SIZE = 64
NUM_REPORTED = 3


@dataclass(frozen=True)
class SsdParameters:
    """What a request may fix; what it leaves open is searched on held-out data.

    Attributes:
        rho: select the weights of whose information the forget set holds more than this share.
        alpha: the paper's selection weight, in place of rho.
        dampening: the paper's lambda.
    """

    rho: float | None = parameter(
        None, "Select weights above this share of information; null searches.", minimum=0.0, maximum=1.0
    )
    alpha: float | None = parameter(
        None, "The paper's alpha (Eq. 4), in place of rho.", minimum=0.0, maximum=1e9
    )
    dampening: float | None = parameter(
        None, "The paper's lambda (Eq. 4); null searches.", minimum=0.0, maximum=1e9
    )

    def __post_init__(self) -> None:
        if self.rho is not None and self.alpha is not None:
            raise ParametersError("rho and alpha both select weights, got both: state one of them")

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to search."""
        return self.dampening is not None and (self.rho is not None or self.alpha is not None)


@dataclass(frozen=True)
class Strength:
    """One pair of rho and lambda, with alpha = rho N / n_f beside it."""

    rho: float
    alpha: float
    dampening: float

    def to_json(self) -> dict[str, Json]:
        """Return all three."""
        return {"rho": self.rho, "alpha": self.alpha, "dampening": self.dampening}

    def __str__(self) -> str:
        return f"rho={self.rho:.4g} dampening={self.dampening:.4g}"


@dataclass(frozen=True, eq=False)
class Shares:
    """How much of each weight's information the forget set holds.

    Attributes:
        rho: n_f I_f / (N I_D) in [0, 1], one tensor a trainable parameter; 0 where no sample cares.
        fraction: n_f / N.
    """

    rho: Mapping[str, Tensor]
    fraction: float

    @classmethod
    def of(cls, forget: Params, num_forget: int, whole: Params, num_samples: int) -> "Shares":
        """Relate the forget set's mean Fisher to the information of the data it is part of.

        Args:
            forget: I_f, mean over the forget set.
            num_forget: n_f.
            whole: N I_D, float64.
            num_samples: N.
        """
        rho = {}
        for name, mean in forget.items():
            own = num_forget * mean.double()
            # At other weights than the whole's, the part could exceed it.
            total = torch.maximum(whole[name], own)
            rho[name] = torch.where(total > 0, own / total, 0.0).to(mean.dtype)
        return cls(rho, num_forget / num_samples)

    def strength(self, rho: float, dampening: float) -> Strength:
        """Complete a pair by its alpha."""
        return Strength(rho, rho / self.fraction, dampening)

    def dampen(self, params: Params, strength: Strength) -> Params:
        """Return Equation 4: selected weights times min(lambda I_D / I_f, 1), all others as they are."""
        dampened = {**params}
        for name, share in self.rho.items():
            factor = torch.clamp(strength.dampening * self.fraction / share, max=1.0)  # share 0: not selected
            dampened[name] = torch.where(share > strength.rho, params[name] * factor, params[name])
        return dampened

    def quantiles(self, fractions: Iterable[float]) -> list[float]:
        """Return the shares above which the given fractions of all weights with a share lie."""
        every = torch.cat([share.flatten() for share in self.rho.values()])
        ranked = every[every > 0].sort(descending=True).values
        return [float(ranked[min(int(f * len(ranked)), len(ranked) - 1)]) for f in fractions if len(ranked)]


@dataclass(frozen=True)
class Opinion:
    """What a judge thinks of one candidate.

    Attributes:
        order: sorts the best first; equal ones go by the size of their change.
        remark: the numbers behind it, for a reader.
    """

    order: tuple[float, ...]
    remark: str


@dataclass(frozen=True)
class Candidate:
    """One strength that was tried, and the Euclidean norm of the change it makes."""

    strength: Strength
    opinion: Opinion
    change: float


@dataclass(frozen=True, eq=False)
class ClassJudge:
    """Wants remaining classes recognised and the worst forgotten class not.

    Both are counted and, with the same weight, averaged as probabilities: on a few hundred samples counts
    alone leave many strengths level and prefer one by the luck of a single sample.
    """

    model: nn.Module
    kept: Panel
    gone: tuple[Panel, ...]

    def __call__(self, params: Params) -> Opinion | None:
        """Judge one candidate; None if its outputs are not finite."""
        kept = self.kept.ask(self.model, params)
        gone = [panel.ask(self.model, params) for panel in self.gone]
        if not all(answers.is_finite for answers in (kept, *gone)):
            return None
        error = 1 - max((answers.accuracy for answers in gone), default=0.0)
        soft = kept.mean_probability - max((answers.mean_probability for answers in gone), default=0.0)
        return Opinion((-(kept.accuracy + error + soft),), f"retained={kept.accuracy:.3f} error={error:.3f}")


@dataclass(frozen=True, eq=False)
class SampleJudge:
    """Wants at most a point of accuracy lost, then forgotten samples as confident as unseen ones.

    The mean probability of the true class may not fall by more either: it sees harm before accuracy does.
    """

    model: nn.Module
    kept: Panel
    forget: Panel
    accuracy_before: float
    probability_before: float

    def __call__(self, params: Params) -> Opinion | None:
        """Judge one candidate; None if its outputs are not finite."""
        kept, forget = self.kept.ask(self.model, params), self.forget.ask(self.model, params)
        if not (kept.is_finite and forget.is_finite):
            return None
        gap = forget.confidence_above(kept)
        drop = max(self.accuracy_before - kept.accuracy, self.probability_before - kept.mean_probability)
        excess = max(0.0, drop - MAX_UTILITY_DROP)
        return Opinion((excess, round(abs(gap) / GAP_TOLERANCE)), f"drop={drop:.3f} gap={gap:+.3f}")


class Ssd:
    """The method as the registry finds it."""

    name = "ssd"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.CLASS_FISHERS, Need.FORGET_SET, Need.TUNING_SET})
    summary = "Shrinks the weights that hold mostly the forget set's information; no training, seconds."
    caveats = (
        "The strength is searched on held-out data; without a holdout split it must be stated.",
        "Samples that the model recognises anyway are hardly affected: the result can be close to a no-op.",
        "Samples that the model memorised may not come out without harm to the rest.",
        "Repeated requests drift away from the weights that the class Fishers were taken at.",
    )
    Parameters: type[SsdParameters] = SsdParameters

    def forget(self, problem: ForgetProblem, parameters: SsdParameters) -> UnlearnResult:
        """Forget classes one after the other, or the samples together.

        Raises:
            MissingNeedError: class Fishers are missing, or a search has no held-out data.
            IneffectiveError: no strength changes any weight and leaves finite outputs.
        """
        problem.require(Need.CLASS_FISHERS, Need.FORGET_SET)
        if not parameters.is_complete:
            problem.require(Need.TUNING_SET)
        classes = sorted(problem.classes) if problem.kind is Kind.CLASS else [None]
        params = problem.params
        strengths: list[Json] = []
        diagnostics: dict[str, float | int | str] = {}

        for done, forgotten in enumerate(classes, start=1):
            if forgotten is None:
                shares, step = _sample_shares(problem, params), "samples"
            else:
                shares, step = _class_shares(problem, forgotten), f"class_{forgotten}"
            ranked = _search(problem, params, shares, parameters, forgotten)
            params = shares.dampen(params, ranked[0].strength)
            strengths.append({"class": forgotten, **ranked[0].strength.to_json()})
            diagnostics[f"{step}_change"] = ranked[0].change
            for place, tried in enumerate(ranked[:NUM_REPORTED], start=1):
                diagnostics[f"{step}_best_{place}"] = f"{tried.strength} {tried.opinion.remark}".strip()
            problem.progress(done / len(classes))

        record: dict[str, Json] = {
            "rho": parameters.rho,
            "alpha": parameters.alpha,
            "dampening": parameters.dampening,
            "strengths": strengths,
            "seed": problem.seed,
        }
        return UnlearnResult(params={**params}, parameters=record, diagnostics=diagnostics)


METHOD = Ssd()


def _class_shares(problem: ForgetProblem, forgotten: int) -> Shares:
    """Relate one class to itself and the remaining classes, all from what was kept per class."""
    information = problem.class_information
    if information is None or forgotten not in information.counts:
        raise MissingNeedError(f"expected a Fisher of class {forgotten}, got none: prepare the model again")
    others = [c for c in problem.classes if c != forgotten and c in information.counts]
    counts = {c: n for c, n in information.counts.items() if c not in others}
    return Shares.of(
        information.fetch(forgotten), counts[forgotten], information.without(others), sum(counts.values())
    )


def _sample_shares(problem: ForgetProblem, params: Params) -> Shares:
    """Relate the forget set, at the current weights, to all classes not forgotten."""
    information = problem.class_information
    if information is None or not information.counts:
        raise MissingNeedError("expected Fishers of the remaining classes, got none: prepare the model again")
    return Shares.of(
        diagonal_fisher(problem.build(), params, problem.forget.batches(FISHER_BATCH_SIZE)),
        len(problem.forget),
        information.whole(),
        information.num_samples,
    )


def _search(
    problem: ForgetProblem, params: Params, shares: Shares, parameters: SsdParameters, forgotten: int | None
) -> list[Candidate]:
    """Try every admissible strength that changes a weight; best first."""
    judge: Callable[[Params], Opinion | None]
    if parameters.is_complete:
        judge = _no_opinion
    elif forgotten is None:
        judge = _sample_judge(problem, params)
    else:
        judge = _class_judge(problem, forgotten)

    tried = []
    for strength in _grid(shares, parameters, problem.kind):
        dampened = shares.dampen(params, strength)
        change = math.sqrt(
            sum(float((dampened[name] - params[name]).double().square().sum()) for name in shares.rho)
        )
        opinion = judge(dampened) if change > 0 else None
        if opinion is not None:
            tried.append(Candidate(strength, opinion, change))
    if not tried:
        raise IneffectiveError(
            "expected a strength that changes a weight and leaves finite outputs, got none: "
            "state a smaller rho or dampening, or choose another method"
        )
    return sorted(tried, key=lambda each: (each.opinion.order, each.change))


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


def _class_judge(problem: ForgetProblem, forgotten: int) -> ClassJudge:
    """Judge on held-out samples; a forgotten class that has none is judged on its own forget set."""
    kept = Panel.read(problem.tuning, problem.remaining_classes, MAX_KEPT_SAMPLES, problem.seed)
    if not len(kept):
        raise MissingNeedError(
            "expected held-out samples of remaining classes, got none: state rho and dampening in the request"
        )
    gone_by_now = [c for c in sorted(problem.classes) if c <= forgotten]
    gone = []
    for label in gone_by_now:
        unseen = Panel.read(problem.tuning, (label,), MAX_GONE_SAMPLES, problem.seed)
        gone.append(
            unseen if len(unseen) else Panel.read(problem.forget, (label,), MAX_GONE_SAMPLES, problem.seed)
        )
    return ClassJudge(problem.build(), kept, tuple(panel for panel in gone if len(panel)))


def _sample_judge(problem: ForgetProblem, params: Params) -> SampleJudge:
    model = problem.build()
    kept = Panel.read(problem.tuning, problem.remaining_classes, MAX_KEPT_SAMPLES, problem.seed)
    forget = Panel.read(problem.forget, problem.remaining_classes, MAX_KEPT_SAMPLES, problem.seed)
    if not len(kept) or not len(forget):
        raise MissingNeedError(
            "expected held-out samples and forget samples of remaining classes, got none of one: "
            "state rho and dampening in the request"
        )
    before = kept.ask(model, params)
    return SampleJudge(model, kept, forget, before.accuracy, before.mean_probability)


def _no_opinion(params: Params) -> Opinion:
    return Opinion((), "")
