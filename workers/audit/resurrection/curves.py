"""The probes' curves as JSON, for a plot: the candidate between a mask and models that never saw a class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from workers.audit.resurrection.judgement import RELAPSE, RELEARNING, RESCUE
from workers.audit.resurrection.references import Judged, Resurrection
from workers.audit.resurrection.relapse import NUM_EPOCHS
from workers.audit.resurrection.relearning import SHOTS
from workers.audit.resurrection.rescue import PRICES


@dataclass(frozen=True)
class Axis:
    """What a probe's curve shows.

    Attributes:
        name: of the probe.
        quantity: what is on both axes.
        points: on the horizontal one.
        read: takes the vertical values, one a point or none at all, from what was found.
    """

    name: str
    quantity: str
    points: tuple[float, ...]
    read: Callable[[Resurrection], tuple[float, ...]]


AXES = (
    Axis(
        RESCUE,
        "accuracy on the class, by the share of kept samples that a constant on its output gives to it",
        PRICES,
        lambda found: found.rescue_curve,
    ),
    Axis(
        RELEARNING,
        "accuracy on the class, by the number of its samples that a fresh last layer learns",
        SHOTS,
        lambda found: found.relearning_curve,
    ),
    Axis(
        RELAPSE,
        "accuracy on the class, by epochs of fine-tuning on kept data alone",
        tuple(range(1 + NUM_EPOCHS)),
        lambda found: found.relapse,
    ),
)


def to_json(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return one record a class: `class`, and `probes` with `points`, `candidate`, `masked`, `reference`.

    The reference is the lowest and the highest that models without a class showed at each point, whichever
    class that was; None where there are no such models.
    """
    return [
        {"class": each.label, "probes": [_probe(axis, each) for axis in AXES if axis.read(each.candidate)]}
        for each in judged
    ]


def _probe(axis: Axis, judged: Judged) -> dict[str, Any]:
    usual = [curve for each in judged.references if (curve := axis.read(each.found))]
    columns = [*zip(*usual, strict=True)]
    return {
        "name": axis.name,
        "quantity": axis.quantity,
        "points": [*axis.points],
        "candidate": [*axis.read(judged.candidate)],
        "masked": [*axis.read(judged.masked)],
        "reference": {"low": [*map(min, columns)], "high": [*map(max, columns)]} if columns else None,
    }
