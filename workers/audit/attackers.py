"""What the attackers of papers learn from, and whom they judge: members, strangers, and what was forgotten.

*Members* are retained training samples, *strangers* unseen samples of kept classes: as many of each, at most
a bound, so that an attack costs milliseconds. *Targets* are all forgotten samples of the run. *Controls* are
unseen samples of the targets' classes that no attacker learned from: what an attacker says of these is what
it says of samples that nobody forgot. Unseen samples of kept classes are dealt out in turn, one to learn
from and one as a control; those of forgotten classes are all controls, for no retained sample is like them.

A share that an attacker gives is held against the controls' by Fisher's exact test ("On the interpretation of
chi-squared from contingency tables", Journal of the Royal Statistical Society 1922), from both sides: to be
conspicuously unlike a member tells as much as to be like one. A pass says only that this attacker, with so
many samples, saw no difference.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workers.audit.base import CheckResult
from workers.audit.intervals import SIGNIFICANCE, share_interval
from workers.audit.outputs import Answers, Floats, Outputs
from workers.numerics import seeding

FEWEST = 5
"""Samples a side; with fewer there is nothing to learn an attack from."""

UNKNOWN = 0.5
"""What a share is held against where there is no control."""

Called = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Attacked:
    """The new model's answers about everybody that an attacker has to do with.

    Attributes:
        members: retained samples.
        strangers: as many unseen ones of kept classes.
        targets: the forgotten samples.
        controls: unseen samples of their classes, strangers not among them; may be empty.
    """

    members: Answers
    strangers: Answers
    targets: Answers
    controls: Answers

    @property
    def is_member(self) -> NDArray[np.int64]:
        """The labels an attacker learns: 1 for each member, then 0 for each stranger."""
        return np.repeat([1, 0], [len(self.members), len(self.strangers)])


def attacked(outputs: Outputs, most: int, name: str) -> Attacked | None:
    """Deal the samples out; None if there are too few to learn from, or none was forgotten.

    Args:
        outputs: of the audit.
        most: members, and strangers; controls and targets are bound by it too.
        name: of the attack: it draws by itself.
    """
    unseen, gone = outputs.unseen.new, list(outputs.gone)
    targets = joined([group.forget.new for group in outputs.groups])
    is_kept = ~unseen.of(gone)
    is_stranger = is_kept & (np.cumsum(is_kept) % 2 == 1)
    strangers = unseen.take(is_stranger)
    controls = unseen.take(~is_stranger & np.isin(unseen.labels, targets.labels))
    members = outputs.retain.new
    size = min(len(members), len(strangers), most)
    if size < FEWEST or not len(targets):
        return None
    seed = seeding.derive(outputs.seed, name)
    return Attacked(
        members=some(members, size, seed, "members"),
        strangers=some(strangers, size, seed, "strangers"),
        targets=some(targets, most, seed, "targets"),
        controls=some(controls, most, seed, "controls"),
    )


def compared(name: str, targets: Called, controls: Called, what: str) -> CheckResult:
    """Hold the share of targets that were called something against the share of controls.

    Args:
        name: of the check.
        targets: whether each forgotten sample was called so; at least one.
        controls: whether each control was; undecided without any.
        what: they were called, for a reader.
    """
    hits, others = int(targets.sum()), int(controls.sum())
    low, high = share_interval(hits, len(targets))
    table = [[hits, len(targets) - hits], [others, len(controls) - others]]
    is_alike = bool(len(controls)) and float(stats.fisher_exact(table).pvalue) >= SIGNIFICANCE
    return CheckResult(
        name=name,
        value=hits / len(targets),
        low=low,
        high=high,
        threshold=others / len(controls) if len(controls) else UNKNOWN,
        passed=is_alike,
        detail=f"{hits} of {len(targets)} forgotten and {others} of {len(controls)} unseen samples of their "
        f"classes called {what}",
        is_decided=bool(len(controls)),
    )


def joined(parts: list[Answers]) -> Answers:
    """Return all answers one after the other; at least one part."""
    return Answers(np.concatenate([p.logits for p in parts]), np.concatenate([p.labels for p in parts]))


def some(answers: Answers, most: int, seed: int, name: str) -> Answers:
    """Return at most so many of the answers, drawn by a seed, in their order."""
    if len(answers) <= most:
        return answers
    chosen = np.zeros(len(answers), dtype=np.bool_)
    random = np.random.default_rng(seeding.derive(seed, name))
    chosen[random.choice(len(answers), most, replace=False)] = True
    return answers.take(chosen)


def column(first: Floats, second: Floats) -> Floats:
    """Return two sides' values as one feature; [n], [m] -> [n + m, 1]."""
    return np.concatenate([first, second])[:, None]
