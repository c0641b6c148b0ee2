"""The words every check shares: what is audited, what a check returns, and when a check decides.

Vocabulary. The *base* model is the one that still knew; the *new* model is the candidate. A *group* is one
forget set with its kind. *Unseen* samples were held out from training and from the choice of the method's
strength: they show how a model treats what it never learned. A check is *undecided* when its samples could
not have shown a failure, however bad the model is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from torch import nn

from workers.audit.kept_answers import KeptAnswers
from workers.audit.reference.bank import ReferenceBank
from workers.audit.resurrection.references import ClassReferences
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params

EXACT = "exact"
CERTIFIED = "certified"
APPROXIMATE = "approximate"
SUPPRESSED = "suppressed"
CLASS_KIND = "class"
SAMPLES_KIND = "samples"


class Gating(StrEnum):
    """Which claims a failed check refuses.

    A check against unseen samples takes them for what a model without the forget set would say of it. That
    is right on average and wrong for unusual samples: a mislabelled one stands out in a model that never
    saw it. A model retrained without the forget set needs no such stand-in, nor does one that is proven to be
    hardly told from it, and what they lost they lost with the data; so these checks inform about an exact or
    a certified claim and do not decide it.
    """

    EVERY_CLAIM = "every_claim"
    INEXACT_CLAIMS = "inexact_claims"
    UNMASKED_CLAIMS = "unmasked_claims"
    """All but `suppressed`, which says itself that an output is masked."""
    APPROXIMATE_CLAIMS = "approximate_claims"
    NO_CLAIM = "no_claim"
    """Shown, because papers report it; it decides nothing."""


MADE_WITHOUT = frozenset({EXACT, CERTIFIED})
"""Claims that rest on how the model was made, not on what it says."""

CONCERNED = {
    Gating.EVERY_CLAIM: frozenset({EXACT, CERTIFIED, APPROXIMATE, SUPPRESSED}),
    Gating.INEXACT_CLAIMS: frozenset({APPROXIMATE, SUPPRESSED}),
    Gating.UNMASKED_CLAIMS: frozenset({EXACT, CERTIFIED, APPROXIMATE}),
    Gating.APPROXIMATE_CLAIMS: frozenset({APPROXIMATE}),
    Gating.NO_CLAIM: frozenset[str](),
}
"""The claims that each gating concerns."""


@dataclass(frozen=True, eq=False)
class ForgetGroup:
    """One forget set.

    Attributes:
        kind: "class" or "samples".
        classes: the forgotten classes, for kind "class".
        forget: training samples that the base model learned from and the new one must not know.
    """

    kind: str
    classes: tuple[int, ...]
    forget: SampleSet


@dataclass(frozen=True, eq=False)
class AuditInput:
    """A candidate and all that the audit may look at.

    Attributes:
        build: makes the architecture.
        num_classes: outputs of the head.
        base_params: the model that still knew.
        params: the candidate.
        groups: what was forgotten in this run.
        retain: some training samples that were kept; at most a few thousand are of use.
        unseen: held-out samples that chose no strength, those of the classes forgotten now among them.
        forgotten_classes: classes forgotten by earlier runs; no utility is expected there.
        limits: thresholds that differ from the suite's own, by name.
        seed: of the bootstrap.
        guarantee: what the method claims.
        tuning: held-out samples of all classes, apart from `unseen`; probes choose on them.
        bank: what models that never saw the samples say; None if the version has none.
        class_references: what the probes find in models that never saw a class; None likewise.
        base_answers: what the base model says of its data, if that was kept; else it is asked.
    """

    build: Callable[[], nn.Module]
    num_classes: int
    base_params: Params
    params: Params
    groups: tuple[ForgetGroup, ...]
    retain: SampleSet
    unseen: SampleSet
    forgotten_classes: tuple[int, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    guarantee: str = APPROXIMATE
    tuning: SampleSet | None = None
    bank: ReferenceBank | None = None
    class_references: ClassReferences | None = None
    base_answers: KeptAnswers | None = None


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: of the check.
        value: the measured number; always finite.
        low: lower end of its 95 % interval; None if it is not a statistic.
        high: upper end.
        threshold: what the value, or the end of its interval, was held against.
        passed: whether the check is content.
        detail: one sentence for a reader: sizes, the worst place, the power of the check.
        is_decided: False if the samples could not have shown a failure; then `passed` is False too.
        is_outranked: True where a better check decides this request in its place: shown, and decides nothing.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    threshold: float
    passed: bool
    detail: str
    is_decided: bool = True
    is_outranked: bool = False


def worst_of(results: Sequence[CheckResult], centre: float) -> CheckResult | None:
    """Return the result that decides over all groups: a failure, else an undecided one, else the farthest.

    One that is outranked stands behind all that are not.

    Args:
        results: of one check, one a group.
        centre: the value that nothing is wrong at; the result farthest from it is shown.
    """
    return max(
        results,
        key=lambda each: (
            not each.is_outranked,
            not each.passed and each.is_decided,
            not each.is_decided,
            abs(each.value - centre),
        ),
        default=None,
    )
