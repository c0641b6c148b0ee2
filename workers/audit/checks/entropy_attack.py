"""Entropy attack: how many forgotten samples a logistic regression on prediction entropy calls members.

The number that "Fast machine unlearning without retraining through selective synaptic dampening" (Foster,
Schoepf, Brintrup; AAAI 2024) and those after it report as MIA, in percent; lower is called better
there. Here the attacker learns from equally many retained and unseen samples, and the share is held against
that of unseen samples of the same classes: zero is as conspicuous as one. A masked output passes it, and so
does doing nothing about ordinary samples, so it decides nothing.
"""

import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from workers.audit.attackers import Called, attacked, column, compared
from workers.audit.base import CheckResult, Gating
from workers.audit.outputs import Answers, Floats, Outputs

MOST = 1000


class EntropyAttack:
    """Shows the share of forgotten samples called members, beside that of unseen ones."""

    name = "entropy_attack"
    gating = Gating.NO_CLAIM

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Learn the attack and make it; None where there is nothing to learn from."""
        given = attacked(outputs, MOST, self.name)
        if given is None:
            return None
        attack = LogisticRegression()
        attack.fit(column(_entropy(given.members), _entropy(given.strangers)), given.is_member)

        def called(answers: Answers) -> Called:
            if not len(answers):
                return np.empty(0, dtype=np.bool_)
            return np.asarray(attack.predict(_entropy(answers)[:, None]) == 1)

        return compared(self.name, called(given.targets), called(given.controls), "members")


CHECK = EntropyAttack()


def _entropy(answers: Answers) -> Floats:
    """Return - sum_c p_c log p_c of each answer, in nats; [n]."""
    logs = log_softmax(answers.logits, axis=1)  # [n, classes]
    entropy: Floats = -(np.exp(logs) * logs).sum(axis=1)
    return entropy
