"""What the bench measures of one forgotten model, beside models retrained without the forget set.

Two retrainings are at hand in every seed: *gold* has the original's seed, the *reference* another one. How
far a candidate's answers are from the reference is read in units of how far gold's are: at 1 it is as far as
one retraining is from another. No method, choice or audit reads the test split.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.quality.asks import Ask
from benchmarks.setting import NUM_CLASSES, Setting
from workers.audit import suite
from workers.audit.base import AuditInput, ForgetGroup
from workers.numerics import metrics
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params, num_changed

NUM_READ = 2000  # retained training samples that the audit and the retained accuracy read

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outcome:
    """One way to meet one request, in one seed.

    Attributes:
        ask: name of the request's kind.
        method: name of the way.
        seed: of the model.
        refusal: why there is no candidate; empty if there is one. The other fields are NaN then.
        is_experimental: whether the planner leaves the method alone.
        retained: accuracy on retained training samples.
        forgotten: accuracy on the forget set; how often the model still gives the label it learned.
        test: accuracy on test samples of the classes that remain.
        distance: total variation between its answers and the reference's, mean over the forget set.
        gold_distance: the same of gold.
        test_distance: the same on the test samples.
        gold_test_distance: the same of gold.
        membership: AUC of an attack by the loss, forgotten against unseen samples of the same classes.
        changed: share of the weights that differ from the original's.
        seconds: that forgetting took.
        gold_seconds: that retraining takes.
        verdict: of the audit.
        failed: gates that refused it, joined by commas.
        scores: log odds of the label on each forgotten sample, float64 [n].
    """

    ask: str
    method: str
    seed: int
    refusal: str = ""
    is_experimental: bool = False
    retained: float = np.nan
    forgotten: float = np.nan
    test: float = np.nan
    distance: float = np.nan
    gold_distance: float = np.nan
    test_distance: float = np.nan
    gold_test_distance: float = np.nan
    membership: float = np.nan
    changed: float = np.nan
    seconds: float = np.nan
    gold_seconds: float = np.nan
    verdict: str = ""
    failed: str = ""
    scores: Scores = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, eq=False)
class Ruler:
    """What every candidate for one request of one seed is held against.

    Attributes:
        setting: of the models.
        ask: the request.
        original: weights that still know.
        gold: weights retrained without the forget set, from the original's seed.
        reference: the same from another seed.
        gold_seconds: what a retraining takes, timed by some of its steps.
        seed: of the original.
    """

    setting: Setting
    ask: Ask
    original: Params
    gold: Params
    reference: Params
    gold_seconds: float
    seed: int

    def measure(
        self, method: str, params: Params, seconds: float, guarantee: str, *, is_experimental: bool = False
    ) -> Outcome:
        """Return all that is measured of one candidate."""
        ask, test = self.ask, self._remaining_test
        retain = _some(ask.retain)
        forget_logits, labels = self._logits(params, ask.forget)
        report = suite.audit(
            AuditInput(
                build=self.setting.build,
                num_classes=NUM_CLASSES,
                base_params=self.original,
                params=params,
                groups=(ForgetGroup(ask.kind.value, ask.classes, ask.forget),),
                retain=retain,
                unseen=ask.holdout(1),
                seed=self.seed,
                guarantee=guarantee,
            )
        ).to_json()
        return Outcome(
            ask=ask.name,
            method=method,
            seed=self.seed,
            is_experimental=is_experimental,
            retained=metrics.accuracy(*self._logits(params, retain)),
            forgotten=metrics.accuracy(forget_logits, labels),
            test=metrics.accuracy(*self._logits(params, test)),
            distance=self._apart(params, ask.forget),
            gold_distance=self._apart(self.gold, ask.forget),
            test_distance=self._apart(params, test),
            gold_test_distance=self._apart(self.gold, test),
            membership=self._membership(params),
            changed=num_changed(self.original, params) / sum(each.numel() for each in params.values()),
            seconds=seconds,
            gold_seconds=self.gold_seconds,
            verdict=report["verdict"],
            failed=",".join(
                check["name"] for check in report["checks"] if check["is_gate"] and not check["passed"]
            ),
            scores=metrics.confidence(forget_logits, labels).double().numpy(),
        )

    def refused(self, method: str, reason: str, *, is_experimental: bool) -> Outcome:
        """Return the outcome of a method that gives no candidate."""
        return Outcome(self.ask.name, method, self.seed, reason, is_experimental)

    def reference_scores(self) -> Scores:
        """Return the reference's log odds of the label on each forgotten sample, float64 [n]."""
        return metrics.confidence(*self._logits(self.reference, self.ask.forget)).double().numpy()

    @property
    def _remaining_test(self) -> SampleSet:
        positions = self.setting.source.manifest.positions("test")
        labels = self.setting.source.manifest.labels[positions]
        return SampleSet(self.setting.source, positions[~np.isin(labels, self.ask.classes)])

    def _logits(self, params: Params, samples: SampleSet) -> tuple[torch.Tensor, torch.Tensor]:
        return metrics.logits_of(self.setting.build(), params, samples)

    def _apart(self, params: Params, samples: SampleSet) -> float:
        """Return the mean total variation between two models' answers; 0 is the same, 1 disjoint."""
        ours, theirs = (
            self._logits(each, samples)[0].double().softmax(1) for each in (params, self.reference)
        )
        return float((ours - theirs).abs().sum(1).mean() / 2)

    def _membership(self, params: Params) -> float:
        """Return how well the loss tells forgotten from unseen samples of the same classes."""
        unseen = self.ask.holdout(1)
        same = unseen.take(np.flatnonzero(np.isin(unseen.labels.numpy(), self.ask.forget.labels.numpy())))
        known, fresh = (metrics.confidence(*self._logits(params, each)) for each in (self.ask.forget, same))
        return metrics.auc(known, fresh, seed=self.seed, num_resamples=1).value


def _some(samples: SampleSet) -> SampleSet:
    """Return evenly spaced samples, no more than are of use."""
    return samples.take(np.unique(np.linspace(0, len(samples) - 1, NUM_READ).astype(np.int64)))
