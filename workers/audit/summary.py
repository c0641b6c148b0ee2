"""The numbers of an audit that people compare and plot: accuracies before and after, and histograms.

`retained_accuracy` is measured on unseen samples of kept classes, `forgotten_accuracy` on the forget sets,
`per_class` on unseen samples. Confidence is the log odds log p_y - log(1 - p_y) of the true class.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workers.audit.comparison import Comparison, Estimate
from workers.audit.outputs import Answers, Outputs, Pair

BIN_EDGES = tuple(float(edge) for edge in np.linspace(-12.0, 12.0, 49))


@dataclass(frozen=True)
class Summary:
    """What one model does, in numbers; None where there is no sample to measure on."""

    retained_accuracy: float | None
    forgotten_accuracy: float | None
    membership_auc: Estimate | None
    per_class: tuple[dict[str, Any], ...]
    histograms: dict[str, list[int]]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, without the histograms."""
        auc = self.membership_auc
        return {
            "retained_accuracy": self.retained_accuracy,
            "forgotten_accuracy": self.forgotten_accuracy,
            "membership_auc": None if auc is None else {"value": auc.value, "interval": [auc.low, auc.high]},
            "per_class": [*self.per_class],
        }


def summarise(outputs: Outputs, *, is_new: bool) -> Summary:
    """Put one model's answers into numbers."""

    def side(pair: Pair) -> Answers:
        return pair.new if is_new else pair.base

    forget = _joined([side(group.forget) for group in outputs.groups])
    unseen = side(outputs.unseen)
    unseen_alike = unseen.take(np.isin(unseen.labels, forget.labels))
    comparison = Comparison.of(forget, unseen, outputs.seed)
    return Summary(
        retained_accuracy=_accuracy(side(outputs.unseen_kept)),
        forgotten_accuracy=_accuracy(forget),
        membership_auc=comparison.auc() if comparison.strata else None,
        per_class=tuple(_of_class(unseen, label, outputs.gone) for label in range(outputs.num_classes)),
        histograms={
            "forget": _histogram(forget),
            "retain": _histogram(side(outputs.retain)),
            "unseen": _histogram(unseen_alike),
        },
    )


def referenced(outputs: Outputs) -> dict[str, Any] | None:
    """Return what the reference bank says of each group that it judged; None without a bank."""
    if outputs.bank is None:
        return None
    judged = [judgement for judgement in outputs.judgements if judgement is not None]
    return {"members": len(outputs.bank), "groups": [judgement.to_json() for judgement in judged]}


def _joined(parts: list[Answers]) -> Answers:
    return Answers(np.concatenate([p.logits for p in parts]), np.concatenate([p.labels for p in parts]))


def _accuracy(answers: Answers) -> float | None:
    return float(answers.is_right.mean()) if len(answers) else None


def _of_class(answers: Answers, label: int, gone: tuple[int, ...]) -> dict[str, Any]:
    of_class = answers.take(answers.of([label]))
    return {
        "class": label,
        "num_samples": len(of_class),
        "accuracy": _accuracy(of_class),
        "is_forgotten": label in gone,
    }


def _histogram(answers: Answers) -> list[int]:
    """Count log odds in the bins of BIN_EDGES; the outer bins take what lies beyond them."""
    inside = np.clip(answers.log_odds, BIN_EDGES[0], BIN_EDGES[-1])
    return [int(count) for count in np.histogram(inside, bins=BIN_EDGES)[0]]
