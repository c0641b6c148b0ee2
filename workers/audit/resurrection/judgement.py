"""Holds what the probes found in a candidate against an output mask and against models without the class.

How much of a class comes back depends on the network, the data and the class, so no number is too much by
itself. Two ends of a scale are known. One is the base model behind an *output mask*, which has forgotten
nothing. The other are the *class references*, which never knew. Everything is measured in log odds,

    w(a) = log((n a + 1/2) / (n (1 - a) + 1/2))        (Haldane and Anscombe, for a share a of n samples),

because shares near 1 are squeezed together and their spread says nothing. The *distance* of a model is
w(found) - w(masked), both about the same class: 0 for a mask, the lower the more is gone. Differences between
classes largely cancel in it. Relapse is taken as it is: a mask does not relapse.

Rule for one class and one probe, with R >= `resurrection_references` references of mean distance m and
standard deviation s: the *limit* is the one-sided prediction limit of one more such model,

    m + max(t s, z b) sqrt(1 + 1/R),

t and z being the quantiles of Student's t with R - 1 degrees and of the normal at 1 - level, and b the
binomial error of the log odds, below which no spread is believed. Above the limit the candidate is refused.
The level is `resurrection_level`, parted over the probes by SHARES, so that is how often they refuse a model
that never saw the class, all together (Bonferroni). A probe has *power* if the limit is below 0: it would
have refused a mask.

The *deepest* probe is relearning, and rescue where the network has no linear head to learn anew. It decides
whether anything is decided. What the outputs can show lies in the features, so a candidate whose features are
those of a model without the class has nothing to rescue; but a last layer drawn anew leaves nothing to rescue
either, and every feature in place. So:

- If the deepest probe has power, others without power that refused nothing are outranked: one that looks
  deeper could have seen what they could not. All still refuse what they see, such as a relapse.
- If it has none, it is undecided, whatever the others say, and so are the others without power.
- With power nowhere, a candidate in which both rescue and relearning find odds above
  exp(-`resurrection_margin`) of the mask's is no better than a mask and refused, unless enough references say
  that a model without the class would be no better either.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from workers.audit.base import CheckResult, worst_of
from workers.audit.intervals import share_interval
from workers.audit.limits import Limits
from workers.audit.resurrection.references import ClassReference, Judged, Resurrection

RESCUE, RELEARNING, RELAPSE = "rescue", "relearning", "relapse"
PROBES = (RESCUE, RELEARNING, RELAPSE)
SHARES = {RESCUE: 0.2, RELEARNING: 0.6, RELAPSE: 0.2}
"""Of the level; the deepest probe has most of it. Rescue has that of relearning too where there is none."""

FEWEST = 20
"""Samples of a class, below which a candidate is not called no better than a mask."""

_READ: dict[str, Callable[[Resurrection], float | None]] = {
    RESCUE: lambda found: found.rescue,
    RELEARNING: lambda found: found.relearning,
    RELAPSE: lambda found: max(found.relapse[1:], default=None),
}


@dataclass(frozen=True)
class Finding:
    """One probe's answer about one class.

    Attributes:
        label: the class.
        value: what came back in the candidate, as a share.
        masked: what comes back behind a mask.
        num_samples: of the class.
        distance: of the candidate.
        distances: of the references.
        limit: of the distance; None where there are too few references.
        zero: log odds that the distance is counted from.
    """

    label: int
    value: float
    masked: float
    num_samples: int
    distance: float
    distances: tuple[float, ...]
    limit: float | None
    zero: float

    @property
    def has_power(self) -> bool:
        """Whether a mask would have been refused."""
        return self.limit is not None and self.limit < self.masked_distance

    @property
    def masked_distance(self) -> float:
        """The mask's own distance."""
        return log_odds(self.masked, self.num_samples) - self.zero

    @property
    def exceeds(self) -> bool:
        """Whether more came back than in models that never saw the class."""
        return self.limit is not None and self.distance > self.limit

    def share(self, distance: float) -> float:
        """Return the share that lies at this distance, the inverse of `log_odds`."""
        count = max(self.num_samples, 1)
        part = 1 / (1 + math.exp(-(self.zero + distance)))
        return min(1.0, max(0.0, ((count + 1) * part - 0.5) / count))


def log_odds(share: float, num_samples: int) -> float:
    """Return the log odds of a share, finite also where it is 0 or 1."""
    count = max(num_samples, 1)
    return math.log((count * share + 0.5) / (count * (1 - share) + 0.5))


def result(name: str, judged: Sequence[Judged], limits: Limits) -> CheckResult | None:
    """Return what the check of one probe says over all classes; None where the probe was not made.

    Args:
        name: of the probe.
        judged: one a class.
        limits: `resurrection_level`, `resurrection_references` and `resurrection_margin` are read.
    """
    results = [_of_class(name, each, limits) for each in judged]
    found = [each for each in results if each is not None]
    deciding = [each for each in found if not each.is_outranked]
    return worst_of(deciding or found, centre=0.0)


def findings(judged: Judged, limits: Limits) -> dict[str, Finding]:
    """Return what each probe says of one class; without those that could not be made."""
    found: dict[str, Finding] = {}
    for name in PROBES:
        value, masked = _READ[name](judged.candidate), _READ[name](judged.masked)
        if value is None or masked is None:
            continue
        count = judged.candidate.num_samples
        zero = 0.0 if name == RELAPSE else log_odds(masked, count)
        distances = tuple(
            distance for each in judged.references if (distance := _distance(name, each)) is not None
        )
        limit = None
        if len(distances) >= max(2, limits.resurrection_references):
            level = limits.resurrection_level * _share(name, judged)
            limit = _prediction_limit(distances, zero, min(count, *_counts(judged.references)), level)
        found[name] = Finding(
            judged.label, value, masked, count, log_odds(value, count) - zero, distances, limit, zero
        )
    return found


def _of_class(name: str, judged: Judged, limits: Limits) -> CheckResult | None:
    """Judge one probe of one class, knowing what the others say."""
    found = findings(judged, limits)
    if name not in found:
        return None
    finding = found[name]
    any_has_power = any(each.has_power for each in found.values())
    deepest = RELEARNING if RELEARNING in found else RESCUE
    is_covered = name != deepest and deepest in found and found[deepest].has_power
    is_mask = not any_has_power and name != RELAPSE and _is_no_better_than_a_mask(found, limits)
    refuses = finding.exceeds or is_mask
    low, high = share_interval(round(finding.value * finding.num_samples), finding.num_samples)
    return CheckResult(
        name=name,
        value=finding.value,
        low=low,
        high=high,
        threshold=finding.share(-limits.resurrection_margin if finding.limit is None else finding.limit),
        passed=finding.has_power and not refuses,
        detail=_detail(finding, limits),
        is_decided=refuses or finding.has_power,
        is_outranked=is_covered and not finding.has_power and not refuses,
    )


def _share(name: str, judged: Judged) -> float:
    """Return the part of the level that a probe has."""
    is_alone = name == RESCUE and judged.candidate.relearning is None
    return SHARES[name] + (SHARES[RELEARNING] if is_alone else 0.0)


def _is_no_better_than_a_mask(found: dict[str, Finding], limits: Limits) -> bool:
    """Return whether every probe that a mask could fail finds as much as behind a mask."""
    telling = [
        each
        for name, each in found.items()
        if name != RELAPSE
        and each.num_samples >= FEWEST
        and (each.limit is None or np.mean(each.distances) < -limits.resurrection_margin)
    ]
    return bool(telling) and all(each.distance > -limits.resurrection_margin for each in telling)


def _prediction_limit(distances: Sequence[float], zero: float, count: int, level: float) -> float:
    """Return the distance that one more reference would exceed with this probability."""
    mean, deviation = float(np.mean(distances)), float(np.std(distances, ddof=1))
    share = 1 / (1 + math.exp(-(zero + mean)))
    binomial = math.sqrt(1 / (count * share + 0.5) + 1 / (count * (1 - share) + 0.5))
    spread = max(
        float(stats.t.isf(level, len(distances) - 1)) * deviation, float(stats.norm.isf(level)) * binomial
    )
    return mean + spread * math.sqrt(1 + 1 / len(distances))


def _distance(name: str, reference: ClassReference) -> float | None:
    """Return how far below a mask of its class a reference stays; None if that is not known."""
    found, count = _READ[name](reference.found), reference.found.num_samples
    if found is None:
        return None
    if name == RELAPSE:
        return log_odds(found, count)
    masked = None if reference.masked is None else _READ[name](reference.masked)
    return None if masked is None else log_odds(found, count) - log_odds(masked, count)


def _counts(references: Sequence[ClassReference]) -> list[int]:
    return [each.found.num_samples for each in references]


def _detail(finding: Finding, limits: Limits) -> str:
    """Say what was found beside both ends of the scale."""
    beside = f"class {finding.label}: {finding.value:.3f}, behind a mask {finding.masked:.3f}"
    asked = f"on {finding.num_samples} samples"
    if finding.limit is None:
        num = len(finding.distances)
        needed = max(2, round(limits.resurrection_references))
        return f"{beside}, {asked}; {num} models without a class, {needed} are needed to judge"
    low, high = (finding.share(each) for each in (min(finding.distances), max(finding.distances)))
    power = "a mask would be refused" if finding.has_power else "a mask would not be noticed"
    return (
        f"{beside}, in {len(finding.distances)} models that never saw a class {low:.3f} to {high:.3f}, "
        f"{asked}; {power}"
    )
