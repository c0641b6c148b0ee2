"""What the base and the new model say about every audited sample: one forward pass, shared by all checks."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from workers.audit.base import APPROXIMATE, CLASS_KIND, SAMPLES_KIND, AuditInput
from workers.audit.errors import AuditError
from workers.audit.kept_answers import KeptAnswers
from workers.audit.limits import Limits
from workers.audit.reference.bank import ReferenceBank
from workers.audit.reference.judging import Asked, Judgement, Question, judge
from workers.audit.resurrection import probed
from workers.audit.resurrection.references import Judged
from workers.numerics.batches import SampleSet
from workers.numerics.metrics import confidence, logits_of
from workers.numerics.params import Params, num_changed

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]
Progress = Callable[[float], None]

SATURATION = 30.0  # log odds beyond this say the same: float32 probabilities end at about 1e-13


@dataclass(frozen=True, eq=False)
class Answers:
    """One model's answers about one set of samples.

    Attributes:
        logits: [n, num_classes].
        labels: [n].
    """

    logits: Floats
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether the largest logit is the label's; [n]. No right answer is made of NaN."""
        finite = np.isfinite(self.logits).all(axis=1)
        return np.asarray(finite & (self.logits.argmax(axis=1) == self.labels))

    @cached_property
    def log_odds(self) -> Floats:
        """Return log p_y - log(1 - p_y), cut at +-SATURATION; [n]. It falls as the loss grows."""
        if not len(self):
            return np.empty(0)
        odds: Floats = confidence(torch.from_numpy(self.logits), torch.from_numpy(self.labels)).numpy()
        return np.clip(odds, -SATURATION, SATURATION)

    def of(self, classes: tuple[int, ...] | list[int]) -> NDArray[np.bool_]:
        """Return which samples belong to the classes; [n]."""
        return np.isin(self.labels, classes)

    def take(self, chosen: NDArray[np.bool_]) -> "Answers":
        """Return the answers about some of the samples."""
        return Answers(self.logits[chosen], self.labels[chosen])


@dataclass(frozen=True, eq=False)
class Pair:
    """Both models' answers about the same samples, in the same order."""

    base: Answers
    new: Answers

    def __len__(self) -> int:
        return len(self.base)

    def take(self, chosen: NDArray[np.bool_]) -> "Pair":
        """Return both answers about some of the samples."""
        return Pair(self.base.take(chosen), self.new.take(chosen))


@dataclass(frozen=True, eq=False)
class Group:
    """Both models' answers about one forget set; `positions` int64 [n] are the rows of its samples."""

    kind: str
    classes: tuple[int, ...]
    forget: Pair
    positions: Positions = field(default_factory=lambda: np.empty(0, dtype=np.int64))


@dataclass(frozen=True)
class WeightFacts:
    """What can be said of the new weights without running them."""

    num_values: int
    num_changed: int
    num_non_finite: int


@dataclass(frozen=True, eq=False)
class Outputs:
    """All that a check may look at.

    Attributes:
        num_classes: outputs of the head.
        groups: the forget sets of this run.
        retain: training samples that were kept.
        unseen: samples that neither model learned from.
        earlier: classes forgotten by earlier runs.
        weights: facts about the new weights.
        limits: thresholds.
        seed: of the bootstrap, and of whatever else is drawn.
        unseen_positions: int64 [n], the manifest rows of `unseen`.
        bank: what models that never saw the samples say; None if there is none.
        resurrections: what the probes found of each class forgotten now.
    """

    num_classes: int
    groups: tuple[Group, ...]
    retain: Pair
    unseen: Pair
    earlier: tuple[int, ...]
    weights: WeightFacts
    limits: Limits
    seed: int = 0
    unseen_positions: Positions = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    bank: ReferenceBank | None = None
    resurrections: tuple[Judged, ...] = ()

    @cached_property
    def judgements(self) -> tuple[Judgement | None, ...]:
        """What the reference bank says of each group; None for a class, and where it can say nothing."""
        return tuple(self._judgement(group) for group in self.groups)

    def is_judged(self, group: Group) -> bool:
        """Whether the reference bank decides about a group, for or against the new model."""
        found = self.judgements[self.groups.index(group)]
        return found is not None and (found.is_refused or found.doubt(self.limits.reference_power) is None)

    @property
    def gone(self) -> tuple[int, ...]:
        """Classes the new model should no longer know, forgotten now or earlier; sorted."""
        now = {c for group in self.groups for c in group.classes}
        return tuple(sorted(now | {*self.earlier}))

    @property
    def kept(self) -> tuple[int, ...]:
        """Classes the new model must still know; sorted."""
        return tuple(c for c in range(self.num_classes) if c not in self.gone)

    @property
    def unseen_kept(self) -> Pair:
        """Unseen samples of kept classes: where utility is measured."""
        return self.unseen.take(self.unseen.new.of(self.kept))

    @property
    def everything(self) -> tuple[Pair, ...]:
        """Every non-empty set of samples."""
        return tuple(p for p in (*(g.forget for g in self.groups), self.retain, self.unseen) if len(p))

    def _judgement(self, group: Group) -> Judgement | None:
        if self.bank is None or group.kind != SAMPLES_KIND:
            return None
        controls, rows = self._controls(self.bank)
        labels = self.bank.control_labels[controls]

        def asked(forget: Answers, unseen: Answers) -> Asked:
            return Asked(forget.log_odds, Answers(unseen.logits[rows], labels).log_odds)

        return judge(
            Question(
                bank=self.bank,
                samples=self.bank.rows_of(group.positions),
                controls=controls,
                is_own=labels == self.unseen.new.labels[rows],
                new=asked(group.forget.new, self.unseen.new),
                base=asked(group.forget.base, self.unseen.base),
                seed=self.seed,
            )
        )

    def _controls(self, bank: ReferenceBank) -> tuple[Positions, Positions]:
        """Return which controls of the bank are unseen samples here, and which of `unseen` each of them is.

        Those that show a forgotten class, or are scored for one, tell of that forgetting and are left out.
        """
        place = {int(position): row for row, position in enumerate(self.unseen_positions)}
        rows = np.array([place.get(int(position), -1) for position in bank.control_positions], np.int64)
        is_there = (rows >= 0) & ~np.isin(bank.control_labels, self.gone)
        is_there[is_there] = ~np.isin(self.unseen.new.labels[rows[is_there]], self.gone)
        controls = np.flatnonzero(is_there)
        return controls, rows[controls]

    @property
    def num_non_finite(self) -> int:
        """How many of the new model's logits are NaN or infinite."""
        return sum(int((~np.isfinite(pair.new.logits)).sum()) for pair in self.everything)


def collect(given: AuditInput, progress: Progress) -> Outputs:
    """Run both models over every set of samples.

    Raises:
        AuditError: there is nothing to audit, or a kind or limit is unknown.
        DatasetRowError: a row cannot be read.
    """
    if not any(len(group.forget) or group.classes for group in given.groups):
        raise AuditError("expected at least one forget set, got none: there is nothing to audit")
    for group in given.groups:
        if group.kind not in (CLASS_KIND, SAMPLES_KIND):
            raise AuditError(f"expected a group of kind class or samples, got {group.kind!r}")
    limits = Limits.of(given.limits).for_claim(given.guarantee)
    model = given.build()
    sets = [*(group.forget for group in given.groups), given.retain, given.unseen]
    pairs = []
    for done, samples in enumerate(sets, start=1):
        base = _kept(given.base_answers, samples)
        if base is None:
            base = _answers(model, given.base_params, samples, given.num_classes)
        pairs.append(Pair(base, _answers(model, given.params, samples, given.num_classes)))
        progress(done / len(sets))
    *forget, retain, unseen = pairs
    outputs = Outputs(
        num_classes=given.num_classes,
        groups=tuple(
            Group(g.kind, g.classes, pair, g.forget.positions)
            for g, pair in zip(given.groups, forget, strict=True)
        ),
        retain=retain,
        unseen=unseen,
        earlier=given.forgotten_classes,
        weights=WeightFacts(
            num_values=sum(tensor.numel() for tensor in given.params.values()),
            num_changed=num_changed(given.base_params, given.params),
            num_non_finite=sum(int((~torch.isfinite(t)).sum()) for t in given.params.values()),
        ),
        limits=limits,
        seed=given.seed,
        unseen_positions=given.unseen.positions,
        bank=given.bank,
    )
    is_finite = outputs.num_non_finite == 0 and outputs.weights.num_non_finite == 0
    if given.guarantee != APPROXIMATE or not is_finite:
        return outputs
    return replace(outputs, resurrections=probed.judged(given))


def _kept(answers: KeptAnswers | None, samples: SampleSet) -> Answers | None:
    """Return what the base model was known to answer; None where it must be asked."""
    logits = None if answers is None or not len(samples) else answers.about(samples.positions)
    return None if logits is None else Answers(logits, samples.labels.numpy())


def _answers(model: nn.Module, params: Params, samples: SampleSet, num_classes: int) -> Answers:
    if not len(samples):
        return Answers(np.empty((0, num_classes)), np.empty(0, dtype=np.int64))
    logits, labels = logits_of(model, params, samples)
    return Answers(logits.double().numpy(), labels.numpy())
