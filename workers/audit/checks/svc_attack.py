"""SVC attack: how many forgotten samples a support vector classifier calls unseen.

What "Model sparsity can simplify machine unlearning" (Jia et al., NeurIPS 2023) and "SalUn" (Fan et al., ICLR
2024) report as MIA efficacy, in percent: the share of the forget set that a classifier, learned on retained
and unseen samples, takes for unseen. The value is that of the classifier on the confidence, the probability
of the sample's own label; the detail adds the one on correctness, whose one bit says little. Higher is called
better there; here the share is held against that of unseen samples of the same classes. It decides nothing,
for it speaks of the average sample.
"""

import numpy as np
from scipy.special import expit
from sklearn.svm import SVC

from workers.audit.attackers import Attacked, Called, attacked, column, compared
from workers.audit.base import CheckResult, Gating
from workers.audit.outputs import Answers, Floats, Outputs

MOST = 300  # its cost grows faster than the square of this


class SvcAttack:
    """Shows the share of forgotten samples called unseen, beside that of unseen ones."""

    name = "svc_attack"
    gating = Gating.NO_CLAIM

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Learn both attacks and make them; None where there is nothing to learn from."""
        given = attacked(outputs, MOST, self.name)
        if given is None:
            return None
        by_correctness, _ = _called_unseen(given, *map(_correctness, _sides(given)))
        called = _called_unseen(given, *map(_confidence, _sides(given)))
        what = f"unseen by their confidence; by correctness {int(by_correctness.sum())} of the forgotten"
        return compared(self.name, *called, what)


CHECK = SvcAttack()


def _sides(given: Attacked) -> tuple[Answers, Answers, Answers, Answers]:
    return given.members, given.strangers, given.targets, given.controls


def _called_unseen(
    given: Attacked, members: Floats, strangers: Floats, targets: Floats, controls: Floats
) -> tuple[Called, Called]:
    """Learn from one feature, and return whether targets and controls are called unseen."""
    called = np.zeros(len(targets) + len(controls), dtype=np.bool_)
    learned = column(members, strangers)
    if np.ptp(learned) > 0:  # else the feature parts nobody, and everyone passes for a member
        called = SVC(kernel="rbf").fit(learned, given.is_member).predict(column(targets, controls)) == 0
    return called[: len(targets)], called[len(targets) :]


def _confidence(answers: Answers) -> Floats:
    """Return the probability of each answer's own label; [n]."""
    confidence: Floats = expit(answers.log_odds)
    return confidence


def _correctness(answers: Answers) -> Floats:
    """Return 1 for a right answer and 0 for a wrong one; [n]."""
    return answers.is_right.astype(np.float64)
