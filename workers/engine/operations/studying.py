"""One turn at a version's study: references for the audit first, then forgetting rehearsed with them.

What there is tells what is missing, so that a turn needs no memory of the one before. In order of value:
what the version answers about its data; the members of the reference bank, in pairs; the class references;
the rehearsal, for which some time is kept back. A part whose next piece does not fit into the time that is
left is left out, and so is a part that failed: the study goes on without, and says so.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from workers.audit.errors import AuditError
from workers.audit.reference.bank import ReferenceBank
from workers.audit.resurrection.references import ClassReferences
from workers.engine.messages import StoredFile, Study, StudyReply
from workers.engine.operations import answer_files, reference_files, rehearsing
from workers.engine.operations.replaying import STATES
from workers.engine.operations.target import At, Positions, positions_array
from workers.engine.workbench import REHEARSAL, WEIGHTS, Workbench
from workers.numerics import seeding
from workers.numerics.fisher import FisherError
from workers.numerics.params import WeightsError
from workers.preparation import class_references
from workers.preparation.bank.constituents import from_shards
from workers.preparation.bank.growing import grow
from workers.preparation.rehearsal import promise
from workers.preparation.rehearsal.record import Rehearsal
from workers.preparation.rehearsal.rehearse import FLOOR_SECONDS
from workers.preparation.training import TrainingError
from workers.unlearning.base import Method
from workers.unlearning.errors import UnlearningError

BANK_PART, CLASSES_PART, REHEARSAL_PART = "bank", "class_references", "rehearsal"
FAILURES = (TrainingError, AuditError, WeightsError, FisherError)
"""A part that meets one of these meets it again."""

Part = TypeVar("Part")


@dataclass
class Turn:
    """How long this turn goes on, and what it may still spend.

    Attributes:
        call: What was asked.
        started_at: Monotonic.
        given_up: Part -> why.
        left_out: What does not fit.
    """

    call: Study
    started_at: float = field(default_factory=time.monotonic)
    given_up: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.started_at

    @property
    def seconds_left(self) -> float:
        """Of the study."""
        return self.call.seconds_left - self.seconds

    def is_due(self) -> bool:
        """Whether it should end between two pieces of work."""
        return (
            self.seconds >= self.call.turn_seconds
            or self.seconds_left <= 0
            or Path(self.call.give_way_path).exists()
        )

    def has_room(self, seconds: float) -> bool:
        """Whether a piece of the references fits, and leaves what is kept back for the rehearsal."""
        return seconds <= self.seconds_left - rehearsal_seconds(self.call)


def rehearsal_seconds(call: Study) -> float:
    """Return what is kept back for rehearsing: an epoch or its floor, at most half of what is left."""
    one_epoch = rehearsing.epoch_seconds(call) if call.training_seconds else 0.0
    return min(max(one_epoch, FLOOR_SECONDS), call.seconds_left / 2)


def study(bench: Workbench, call: Study, methods: Mapping[str, Method], at: At) -> StudyReply:
    """Do what fits into a turn, at least one piece, and store what the version has then.

    Raises:
        DatasetRowError: A row cannot be read.
        UnlearningError: It may succeed later, such as for want of memory.
    """
    turn = Turn(call, given_up=dict(call.given_up))
    gone = positions_array(call.forgotten_positions)
    bank, by_class = reference_files.read(bench, call.base)
    rehearsal = bench.rehearsal(call.base)
    can_train = bench.recipe.initial is None or bench.initial_weights() is not None
    is_open = False
    answers = answer_files.keep(bench, call.base, gone, at("answering"))
    if can_train:
        bank, is_open = _in_part(turn, BANK_PART, bank, lambda: _grown(bench, turn, bank, gone, at))
        if not is_open:
            by_class, is_open = _in_part(
                turn, CLASSES_PART, by_class, lambda: _referenced(bench, turn, by_class, gone, at)
            )
    elif call.reference_models or call.class_references:
        turn.left_out.append("references: the model cannot be trained again")
    references = reference_files.keep(bench, bank, by_class)
    if not is_open:
        rehearsal, is_open = _in_part(
            turn,
            REHEARSAL_PART,
            rehearsal,
            lambda: rehearsing.rehearse(bench, call, references, rehearsal, methods, turn.is_due, at),
        )
    return StudyReply(
        files=(*answers, *references.files, *_keep(bench, rehearsal)),
        is_done=not is_open or turn.seconds_left <= 0,
        seconds=turn.seconds,
        given_up=turn.given_up,
        references=references.summary,
        promise=_promised(call, rehearsal, can_train=can_train),
        left_out=(*turn.left_out, *_not_rehearsed(rehearsal), *_reasons(turn)),
    )


def _in_part(turn: Turn, part: str, have: Part, work: Callable[[], tuple[Part, bool]]) -> tuple[Part, bool]:
    """Do a part's work of this turn; return what there is then, and whether more of it is to be done."""
    if part in turn.given_up or (turn.is_due() and part != BANK_PART):
        return have, part not in turn.given_up
    try:
        return work()
    except UnlearningError as error:
        if error.is_retryable:
            raise
        turn.given_up[part] = str(error)
    except FAILURES as error:
        turn.given_up[part] = str(error)
    return have, False


def _grown(
    bench: Workbench, turn: Turn, bank: ReferenceBank | None, gone: Positions, at: At
) -> tuple[ReferenceBank | None, bool]:
    """Train members that are missing, or take the constituents of a model in shards."""
    call = turn.call
    wanted, have = call.reference_models, len(bank) if bank is not None else 0
    if wanted == 0:
        return bank, False
    seed = _seed(bench, BANK_PART)
    if bench.recipe.shards > 1 and any(file.name == STATES for file in call.base):
        if have >= bench.recipe.shards:
            return bank, False
        params = bench.weights(_weights(call))
        made = from_shards(
            bench.build_constituent,
            bench.source,
            bench.recipe,
            params,
            excluded=gone,
            seed=seed,
            device=bench.device,
        )
        return made, False
    if have >= wanted:
        return bank, False
    each = (call.training_seconds or 0.0) / 2  # half of the data
    if not turn.has_room((1 + have % 2) * each):
        turn.left_out.append(f"reference bank: {have} of {wanted} models; the time for the study is over")
        return bank, False
    grown = grow(
        bench.build_constituent,
        bench.source,
        bench.recipe,
        bank,
        num_members=wanted,
        initial=bench.initial_weights(),
        excluded=gone,
        seed=seed,
        device=bench.device,
        is_due=lambda: turn.is_due() or not turn.has_room(each),
        progress=at("training reference models"),
    )
    return grown, len(grown) < wanted


def _referenced(
    bench: Workbench, turn: Turn, references: ClassReferences, gone: Positions, at: At
) -> tuple[ClassReferences, bool]:
    """Train without one class after the other."""
    call, seed = turn.call, _seed(bench, CLASSES_PART)
    living = _living(bench, call, gone)
    each = (call.training_seconds or 0.0) * (1 - 1 / max(len(living), 1))
    for label in class_references.missing(references, living, number=call.class_references, seed=seed):
        if not turn.has_room(each):
            have, wanted = len(references), min(call.class_references, len(living))
            turn.left_out.append(f"class references: {have} of {wanted}; the time for the study is over")
            return references, False
        if turn.is_due():
            return references, True
        references = class_references.add(
            bench.build_constituent,
            bench.source,
            bench.recipe,
            references,
            label=label,
            base=bench.weights(_weights(call)),
            initial=bench.initial_weights(),
            excluded=gone,
            seed=seed,
            device=bench.device,
            progress=at("training class references"),
        )
    return references, False


def _living(bench: Workbench, call: Study, gone: Positions) -> list[int]:
    """Return the classes that the version still learned something of; none if only one is left."""
    labels = bench.source.manifest.labels[bench.samples("train", gone).positions]
    found = [int(label) for label in np.unique(labels) if label not in call.forgotten_classes]
    return found if len(found) > 1 else []


def _keep(bench: Workbench, rehearsal: Rehearsal | None) -> list[StoredFile]:
    return [bench.keep_json(REHEARSAL, rehearsal.to_json())] if rehearsal is not None else []


def _promised(call: Study, rehearsal: Rehearsal | None, *, can_train: bool) -> list[dict[str, Any]]:
    if rehearsal is None:
        return []
    found = promise.promises(rehearsal, call.training_seconds, can_retrain=can_train)
    return [each.to_json() for each in found]


def _not_rehearsed(rehearsal: Rehearsal | None) -> Iterator[str]:
    if rehearsal is not None:
        yield from (f"rehearsal: {text}" for text in rehearsal.left_out)


def _reasons(turn: Turn) -> Iterator[str]:
    yield from (f"{part}: {reason}" for part, reason in turn.given_up.items())


def _seed(bench: Workbench, part: str) -> int:
    """Return a seed that no training of the model itself uses."""
    return seeding.derive(bench.recipe.seed, "study", part)


def _weights(call: Study) -> str:
    return next(file.sha256 for file in call.base if file.name == WEIGHTS)
