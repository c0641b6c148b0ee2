"""What is usual: how much of a class comes back in models that never saw it.

A *class reference* is a model trained by the recipe without one class. The same probes that are made on a
candidate are made on it, and only what they found is kept, never its weights. A reference learned from all
other classes, so whatever is forgotten of them retires it; only the one without the forgotten class itself
stays.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Resurrection:
    """How much of a forgotten class three probes bring back in one model, as shares.

    Attributes:
        rescue: mean of the accuracies on the class and on the kept classes, once the best constant is added
            to the class's output.
        relearning: accuracy on the class after the last layer learned five samples of it.
        relapse: accuracy on the class before, and after each epoch of, fine-tuning on kept data alone.
    """

    rescue: float
    relearning: float
    relapse: tuple[float, ...]


@dataclass(frozen=True)
class Judged:
    """A forgotten class in the candidate, beside what is usual.

    Attributes:
        label: the class.
        candidate: what the probes found in the candidate.
        masked: what they found in the base model with the class's output masked: nothing forgotten at all.
        references: what they found in models that never saw some class; empty if there are none.
    """

    label: int
    candidate: Resurrection
    masked: Resurrection
    references: tuple[Resurrection, ...] = ()


@dataclass(frozen=True)
class ClassReference:
    """What the probes found in a model that never saw a class."""

    label: int
    found: Resurrection


@dataclass(frozen=True)
class ClassReferences:
    """All class references of a version, one a class at most."""

    references: tuple[ClassReference, ...] = ()

    def __len__(self) -> int:
        return len(self.references)

    def without(self, classes: Collection[int]) -> "ClassReferences":
        """Return what may be kept once classes are forgotten, or, if none is named, once samples are."""
        gone = {*classes}
        return ClassReferences(tuple(each for each in self.references if gone and gone <= {each.label}))

    def to_json(self) -> list[dict[str, Any]]:
        """Return the references as JSON."""
        return [asdict(each) for each in self.references]

    @classmethod
    def of_json(cls, records: Collection[Mapping[str, Any]]) -> "ClassReferences":
        """Read what `to_json` gave."""
        return cls(
            tuple(
                ClassReference(
                    int(record["label"]),
                    Resurrection(
                        float(record["found"]["rescue"]),
                        float(record["found"]["relearning"]),
                        tuple(map(float, record["found"]["relapse"])),
                    ),
                )
                for record in records
            )
        )
