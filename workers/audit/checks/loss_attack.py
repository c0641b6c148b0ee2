"""Loss attack: how well a logistic regression on the loss tells forgotten samples from unseen ones.

The number that the starting kit of the NeurIPS 2023 unlearning competition shows: the accuracy of a
regression learned on the forget set and on as many unseen samples, each judged by the fold that did not learn
from it. Here unseen samples are those of the forgotten classes, for another class has another loss. One half
tells nothing. Its authors warn that it is no score: it speaks of the average sample, and a retrained model is
not at one half where the forgotten are unusual. So it decides nothing.

It is content when the share of right answers is not surely above one half. Below it is no sign: what is left
in one fold is missing in the others, and so guesses made of nothing are wrong a little too often.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from workers.audit.attackers import FEWEST, column, joined, some
from workers.audit.base import CheckResult, Gating
from workers.audit.intervals import share_interval
from workers.audit.outputs import Answers, Floats, Outputs
from workers.numerics import seeding

MOST = 1000
NUM_FOLDS = 10
BLIND = 0.5


class LossAttack:
    """Shows the attack's accuracy over folds, forgotten against unseen samples of their classes."""

    name = "loss_attack"
    gating = Gating.NO_CLAIM

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Learn and judge fold by fold; None where a side has too few samples."""
        targets = joined([group.forget.new for group in outputs.groups])
        unseen = outputs.unseen.new
        alike = unseen.take(np.isin(unseen.labels, targets.labels))
        size = min(len(targets), len(alike), MOST)
        if size < FEWEST:
            return None
        seed = seeding.derive(outputs.seed, self.name)
        losses = column(
            *(_loss(some(side, size, seed, name)) for side, name in ((targets, "targets"), (alike, "unseen")))
        )
        is_forgotten = np.repeat([1, 0], size)
        folds = StratifiedKFold(min(NUM_FOLDS, size), shuffle=True, random_state=seed % 2**32)
        guesses = cross_val_predict(LogisticRegression(), losses, is_forgotten, cv=folds)
        hits = int((guesses == is_forgotten).sum())
        low, high = share_interval(hits, 2 * size)
        return CheckResult(
            name=self.name,
            value=hits / (2 * size),
            low=low,
            high=high,
            threshold=BLIND,
            passed=low <= BLIND,
            detail=f"{hits} of {2 * size} told rightly, half of them forgotten and half unseen samples of "
            "their classes",
        )


CHECK = LossAttack()


def _loss(answers: Answers) -> Floats:
    """Return -log p_y = log(1 + exp(-log odds)) of each answer; [n]."""
    loss: Floats = np.logaddexp(0.0, -answers.log_odds)
    return loss
