"""Judges one set of forgotten samples by a reference bank: the two-sided test against matched controls.

The question is whether the candidate says of these samples what a model that never saw them would say. The
null hypothesis is a model retrained without them; `chance` draws what such a model would show. A p-value
below `SIGNIFICANCE` refuses the candidate, on whichever side it lies.

A test that could not have refused clears nobody. So its *power* is given beside it: the share of sets that it
refuses when every sample says what members say that did learn from it. That is how halves remember; how the
served model does is seen from the p-value of the base model, which did learn from them and has to be refused
itself. What is refused is refused whatever the power: that happens to 5 % of retrained models at any power.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.audit.intervals import LEVEL, SIGNIFICANCE
from workers.audit.reference import attacks, chance, coherence, matching, memory, ranks
from workers.audit.reference.attacks import Attack
from workers.audit.reference.bank import ReferenceBank
from workers.audit.reference.coherence import Coherence
from workers.audit.reference.matching import MIN_CONTROLS, MIN_OUT, Floats, Indices, Matched

BIN_EDGES = tuple(float(edge) for edge in np.linspace(-8.0, 8.0, 33))


@dataclass(frozen=True, eq=False)
class Asked:
    """What one model says.

    Attributes:
        samples: [n], its scores of the forgotten samples.
        controls: [m], of the controls.
    """

    samples: Floats
    controls: Floats


@dataclass(frozen=True, eq=False)
class Question:
    """A set of forgotten samples before a bank.

    Attributes:
        bank: with what members say.
        samples: int64 [n], indices into the bank's samples; -1 for one that it does not know.
        controls: int64 [m], indices into its controls.
        is_own: bool [m], whether a control is scored for its own label.
        new: what the candidate says.
        base: what the base model says.
        seed: of all draws.
    """

    bank: ReferenceBank
    samples: Indices
    controls: Indices
    is_own: NDArray[np.bool_]
    new: Asked
    base: Asked
    seed: int


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the bank says of one set.

    Attributes:
        num_samples: in the set.
        num_judged: of them, those that enough members never saw.
        num_members: of the bank.
        num_out: fewest members that never saw a judged sample.
        value: mean excess of z over that of the controls.
        low: lower end of its 95 % interval.
        high: upper end.
        farthest: the excess of the sample that is farthest off.
        p_value: of the candidate.
        power: as above.
        base_p_value: of the base model.
        coherence: whether the samples belong together.
        z: counts of z in the bins of BIN_EDGES, of the samples ("forget") and of all their matches
            ("controls").
        attacks: by name; those that could be made.
    """

    num_samples: int
    num_judged: int
    num_members: int
    num_out: int
    value: float
    low: float
    high: float
    farthest: float
    p_value: float
    power: float
    base_p_value: float
    coherence: Coherence
    z: dict[str, list[int]]
    attacks: dict[str, Attack]

    @property
    def is_refused(self) -> bool:
        """Whether the candidate surely says something else than a model without the samples."""
        is_remembered = self.value > 0
        return self.p_value < SIGNIFICANCE and (is_remembered or not self.coherence.is_disturbing)

    def doubt(self, least_power: float) -> str | None:
        """Return why a candidate that is not refused is not cleared either; None if it is.

        Args:
            least_power: smallest power of a test that can clear; 0 clears without asking for any.
        """
        if self.num_judged < self.num_samples:
            missing = self.num_samples - self.num_judged
            return f"{missing} of {self.num_samples} samples are out of fewer than {MIN_OUT} members"
        if self.coherence.is_disturbing:
            return (
                "the samples belong together and the members knew some of them: name subjects in the manifest"
            )
        if self.power < least_power:
            return f"a power of {least_power:.2g} is asked for"
        if least_power > 0 and self.base_p_value >= SIGNIFICANCE:
            return "the base model, which learned them, is not noticed either"
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the judgement as a report shows it; every number in it is finite."""
        return {
            "num_samples": self.num_samples,
            "num_judged": self.num_judged,
            "num_out": self.num_out,
            "value": self.value,
            "interval": [self.low, self.high],
            "farthest": self.farthest,
            "p_value": self.p_value,
            "power": self.power,
            "base_p_value": self.base_p_value,
            "coherence": asdict(self.coherence),
            "z": {"bin_edges": [*BIN_EDGES], **self.z},
            "attacks": {name: asdict(attack) for name, attack in self.attacks.items()},
        }


def judge(asked: Question) -> Judgement | None:
    """Return what the bank says, or None if it knows too few members, samples or controls to say anything."""
    bank = asked.bank
    judged = np.flatnonzero(asked.samples >= 0)
    judged = judged[bank.num_out[asked.samples[judged]] >= MIN_OUT]
    if not len(judged) or len(asked.controls) < MIN_CONTROLS:
        return None
    samples = asked.samples[judged]
    matched = matching.match(bank, samples, asked.controls)
    together = coherence.measure(matched, asked.seed)
    gains = memory.gains(bank, matched)
    new = _test(matched, asked.new, judged, gains, together, asked.seed)
    base = _test(matched, asked.base, judged, gains, together, asked.seed)
    remembered = memory.remembered(matched, new.drawn.excess, asked.seed)
    reach = np.quantile(new.drawn.excess.mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = float(new.excess.mean())
    return Judgement(
        num_samples=len(asked.samples),
        num_judged=len(judged),
        num_members=len(bank),
        num_out=int(bank.num_out[samples].min()),
        value=value,
        low=value - float(reach[1]),
        high=value - float(reach[0]),
        farthest=float(new.excess[np.abs(new.excess).argmax()]),
        p_value=float(new.p_values(new.excess[None])[0]),
        power=float((new.p_values(remembered) < SIGNIFICANCE).mean()),
        base_p_value=float(base.p_values(base.excess[None])[0]),
        coherence=together,
        z={
            "forget": _histogram(matched.z(asked.new.samples[judged])),
            "controls": _histogram(matched.control_z(asked.new.controls)),
        },
        attacks=_attacks(asked, judged),
    )


@dataclass(frozen=True, eq=False)
class _Test:
    """One model before the chance sets that are its own."""

    drawn: chance.Chance
    excess: Floats
    weights: Floats
    chance_statistics: Floats

    def p_values(self, excess: Floats) -> Floats:
        """Return the p-value of each set; [sets, n] -> [sets]."""
        return ranks.p_values(ranks.statistics(excess, self.weights), self.chance_statistics)


def _test(
    matched: Matched, model: Asked, judged: Indices, gains: Floats, together: Coherence, seed: int
) -> _Test:
    drawn = chance.draw(matched, model.controls, together.correlation, seed)
    weights = gains / np.maximum(drawn.spread, matching.FLOOR) ** 2  # as in a mean of unequal precision
    excess = matched.z(model.samples[judged]) - drawn.centre
    return _Test(drawn, excess, weights, ranks.statistics(drawn.excess, weights))


def _attacks(asked: Question, judged: Indices) -> dict[str, Attack]:
    samples, own = asked.samples[judged], asked.is_own
    new, base = asked.new.samples[judged], asked.base.samples[judged]
    population = (asked.controls[own], asked.new.controls[own], asked.base.controls[own])
    made = {
        "u_lira": attacks.u_lira(asked.bank, samples, new, base),
        "rmia": attacks.rmia(asked.bank, samples, new, base, *population),
    }
    return {name: attack for name, attack in made.items() if attack is not None}


def _histogram(values: Floats) -> list[int]:
    """Count in the bins of BIN_EDGES; the outer bins take what lies beyond them."""
    inside = np.clip(values, BIN_EDGES[0], BIN_EDGES[-1])
    return [int(count) for count in np.histogram(inside, bins=BIN_EDGES)[0]]
