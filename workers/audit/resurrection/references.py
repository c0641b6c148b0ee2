"""What is usual: how much of a class comes back in models that never saw it.

A *class reference* is a model trained by the recipe without one class. The same probes that are made on a
candidate are made on it, and only what they found is kept, never its weights. A reference learned from all
other classes, so whatever is forgotten of them retires it; only the one without the forgotten class itself
stays.

Some classes are hard and some are easy, for reasons that have nothing to do with memory. So a reference keeps
beside its own numbers those of the model that it is a reference for, behind an output mask, about the same
class: what counts is how far a model without the class stays below one that hides it.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Resurrection:
    """How much of a forgotten class three probes bring back in one model, as shares.

    Attributes:
        rescue: mean of the accuracies on the class and on the kept classes, once the best constant is added
            to the class's output; None where there are too few samples.
        relearning: accuracy on the class after a fresh last layer learned five samples of it and of every
            kept class; None too where the network does not end in a linear layer.
        relapse: accuracy on the class before, and after each epoch of, fine-tuning on kept data alone; empty
            where nothing can be trained.
        num_samples: of the class that all this was measured on.
        rescue_curve: accuracy on the class at each of `rescue.PRICES`; for a plot.
        relearning_curve: as `relearning`, after each of `relearning.SHOTS`; for a plot.
    """

    rescue: float | None
    relearning: float | None
    relapse: tuple[float, ...]
    num_samples: int = 0
    rescue_curve: tuple[float, ...] = ()
    relearning_curve: tuple[float, ...] = ()

    @classmethod
    def of_json(cls, record: Mapping[str, Any]) -> "Resurrection":
        """Read what `asdict` gave."""

        def share(name: str) -> float | None:
            return None if record[name] is None else float(record[name])

        def shares(name: str) -> tuple[float, ...]:
            return tuple(map(float, record.get(name, ())))

        return cls(
            rescue=share("rescue"),
            relearning=share("relearning"),
            relapse=shares("relapse"),
            num_samples=int(record.get("num_samples", 0)),
            rescue_curve=shares("rescue_curve"),
            relearning_curve=shares("relearning_curve"),
        )


@dataclass(frozen=True)
class ClassReference:
    """What the probes found about one class.

    Attributes:
        label: the class.
        found: in a model that never saw it.
        masked: in the model that it is a reference for, with the class's output masked. Without it, the
            reference cannot be compared with another class and judges nothing.
    """

    label: int
    found: Resurrection
    masked: Resurrection | None = None


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
    references: tuple[ClassReference, ...] = ()


@dataclass(frozen=True)
class ClassReferences:
    """All class references of a version, one a class at most."""

    references: tuple[ClassReference, ...] = ()

    def __len__(self) -> int:
        return len(self.references)

    def with_one(self, reference: ClassReference) -> "ClassReferences":
        """Return the references with this one, in place of an earlier one of its class."""
        others = [each for each in self.references if each.label != reference.label]
        return ClassReferences(tuple(sorted([*others, reference], key=lambda each: each.label)))

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
        return cls(tuple(_reference(record) for record in records))


def _reference(record: Mapping[str, Any]) -> ClassReference:
    masked = record.get("masked")
    return ClassReference(
        label=int(record["label"]),
        found=Resurrection.of_json(record["found"]),
        masked=None if masked is None else Resurrection.of_json(masked),
    )
