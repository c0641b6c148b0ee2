"""Sets the stage for rehearsals: problems and audits as a request would meet them, on copies, and metered.

The audited samples are bounded, so that an audit costs little beside an epoch; a request's own audit has more
of them, and so more power. Nothing of the test split is read, and no candidate is stored.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from workers.audit import suite
from workers.audit.base import AuditInput, ForgetGroup
from workers.audit.suite import Report
from workers.audit.verdict import SUITE
from workers.engine.messages import Step, Study, Unlearn
from workers.engine.operations import forgetting
from workers.engine.operations.reference_files import References
from workers.engine.operations.target import At, Positions, positions_array
from workers.engine.workbench import WEIGHTS, Workbench
from workers.numerics import seeding
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params
from workers.preparation.rehearsal import cases
from workers.preparation.rehearsal.cases import Case
from workers.preparation.rehearsal.meter import Cost, Meter
from workers.preparation.rehearsal.record import CaseKind, Rehearsal
from workers.preparation.rehearsal.rehearse import allowance
from workers.preparation.rehearsal.rehearse import rehearse as go_on
from workers.preparation.rehearsal.trying import Offer, Stage
from workers.unlearning import parameters
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Method, no_progress
from workers.unlearning.errors import MissingNeedError

NUM_TUNING = 200
NUM_UNSEEN = 600
NUM_FORGOTTEN = 300
NUM_RETAINED = 300
"""Bounds on the samples that choose, and that an audit of a rehearsal scores."""


@dataclass(frozen=True)
class MeteredBench(Workbench):
    """A bench whose models count what passes them."""

    meter: Meter = field(kw_only=True)

    def build(self) -> nn.Module:
        """Return a new, untrained instance that is counted."""
        return self.meter.build()

    @classmethod
    def of(cls, bench: Workbench, earlier: Cost) -> "MeteredBench":
        """Return the same bench, with a meter that counts on."""
        same: dict[str, Any] = {each.name: getattr(bench, each.name) for each in dataclasses.fields(bench)}
        return cls(**same, meter=Meter(bench.build, earlier))


def epoch_seconds(call: Study) -> float:
    """Return how long one epoch of the model's recipe takes; infinite if nobody measured it."""
    if call.training_seconds is None:
        return math.inf
    return call.training_seconds / max(int(call.model.training.get("epochs") or 1), 1)


def rehearse(
    bench: Workbench,
    call: Study,
    references: References,
    rehearsal: Rehearsal | None,
    methods: Mapping[str, Method],
    is_due: Callable[[], bool],
    at: At,
    *,
    allowed: Cost | None = None,
) -> tuple[Rehearsal, bool]:
    """Go on with a version's rehearsal; return the record, and whether it is to be gone on with.

    Args:
        bench: The model.
        call: What was asked.
        references: That audits compare with.
        rehearsal: The record so far; None before the first turn.
        methods: All there are.
        is_due: Whether the turn should end between two tries.
        at: Told the share done.
        allowed: What the whole rehearsal may cost; None for an epoch, or its floor.

    Raises:
        DatasetRowError: A row cannot be read.
        UnlearningError: It may succeed later, such as for want of memory.
    """
    weights = next(file.sha256 for file in call.base if file.name == WEIGHTS)
    if rehearsal is None or (rehearsal.weights_sha256, rehearsal.suite) != (weights, SUITE):
        rehearsal = Rehearsal(SUITE, weights)
    if rehearsal.is_complete:
        return rehearsal, False
    metered = MeteredBench.of(bench, Cost(rehearsal.samples, rehearsal.seconds))
    known = bench.samples("train", positions_array(call.forgotten_positions))
    seed = int(weights[:15], 16)
    drawn = cases.draw(known.positions, known.labels.numpy(), references.bank, seed=seed)
    theatre = _Theatre(metered, call, references, bench.weights(weights), seed)
    record = go_on(
        Stage(theatre.pose, theatre.examine),
        drawn,
        theatre.offers(drawn, methods),
        rehearsal,
        metered.meter,
        allowed or allowance(len(known), epoch_seconds=epoch_seconds(call)),
        is_due=is_due,
        progress=at("rehearsing"),
    )
    return record, not record.is_complete


@dataclass(frozen=True, eq=False)
class _Theatre:
    """A version with all that its rehearsals share."""

    bench: MeteredBench
    call: Study
    references: References
    params: Params
    seed: int

    def offers(self, drawn: list[Case], methods: Mapping[str, Method]) -> dict[CaseKind, list[Offer]]:
        """Return the approximate methods of the ladders that have what they need, by kind of case."""
        firsts = {case.kind: case for case in reversed(drawn)}
        return {kind: [*self._fitting(case, methods)] for kind, case in firsts.items()}

    def _fitting(self, case: Case, methods: Mapping[str, Method]) -> list[Offer]:
        kind = _kind_of(case)
        problem = self.pose(case)
        found = []
        for name in self.call.ladders[kind.value]:
            method = methods.get(name)
            if method is None or method.guarantee is not Guarantee.APPROXIMATE or kind not in method.kinds:
                continue
            try:
                problem.require(*method.needs)
            except MissingNeedError:
                continue
            stated = self.call.method_parameters.get(name)
            settings = (stated,) if stated else parameters.rehearsed(method.Parameters, kind)
            found.append(Offer(method, tuple(settings)))
        return found

    def pose(self, case: Case) -> ForgetProblem:
        """Return what a request for the case would ask of a method."""
        call, step = self.call, self._step(case)
        asked = Unlearn(
            model=call.model,
            base=call.base,
            steps=(step,),
            forgotten_classes=call.forgotten_classes,
            forgotten_positions=call.forgotten_positions,
            seed=seeding.derive(self.seed, case.name),
        )
        problem = forgetting.problem_of(
            self.bench,
            asked,
            step,
            self.params,
            call.forgotten_classes,
            positions_array(call.forgotten_positions),
            None,
            head=None,
            is_changed=False,
            progress=no_progress,
        )
        return dataclasses.replace(problem, tuning=self._some(problem.tuning, NUM_TUNING, "tuning"))

    def examine(self, case: Case, params: Params, claim: str) -> Report:
        """Audit a candidate on samples that chose nothing in it."""
        call = self.call
        gone = np.union1d(positions_array(call.forgotten_positions), case.positions)
        forget = self._some(SampleSet(self.bench.source, case.positions), NUM_FORGOTTEN, case.name)
        return suite.audit(
            AuditInput(
                build=self.bench.build,
                num_classes=self.bench.num_outputs(self.params),
                base_params=self.params,
                params=params,
                groups=(ForgetGroup(_kind_of(case).value, case.classes, forget),),
                retain=self._some(self.bench.samples("train", gone), NUM_RETAINED, "retained"),
                unseen=self._some(self.bench.unseen(gone), NUM_UNSEEN, "unseen"),
                forgotten_classes=call.forgotten_classes,
                limits=call.limits,
                seed=seeding.derive(self.seed, "audit", case.name) % 2**31,
                guarantee=claim,
                tuning=self._some(self.bench.tuning(gone), NUM_TUNING, "tuning"),
                bank=self.references.bank,
                class_references=self.references.by_class if len(self.references.by_class) else None,
                base_answers=self.bench.answers(call.base),
            )
        )

    def _step(self, case: Case) -> Step:
        positions: Positions = np.empty(0, dtype=np.int64) if case.classes else case.positions
        kind = _kind_of(case).value
        return Step(kind=kind, classes=case.classes, positions=tuple(positions.tolist()), method="")

    def _some(self, samples: SampleSet, limit: int, name: str) -> SampleSet:
        """Return at most so many samples, in their order, drawn by a seed of the version."""
        if len(samples) <= limit:
            return samples
        random = np.random.default_rng(seeding.derive(self.seed, name))
        return samples.take(np.sort(random.permutation(len(samples))[:limit]).astype(np.int64))


def _kind_of(case: Case) -> Kind:
    return Kind.CLASS if case.classes else Kind.SAMPLES
