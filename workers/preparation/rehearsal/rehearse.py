"""Rehearses forgetting case by case, for as long as a turn lasts and the allowance goes.

The allowance is one epoch of the model's recipe, counted in samples processed and in time, or what a few
seconds of this machine buy where that is more. It is spent in the order of the cases, at most a part of it on
any one case and method, and what is left out is said. A turn ends between two cases; the next goes on from
the record.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from workers.preparation.rehearsal.cases import Case
from workers.preparation.rehearsal.meter import FORWARD_AND_BACKWARD, Cost, Meter, TooDearError
from workers.preparation.rehearsal.record import CaseKind, Rehearsal
from workers.preparation.rehearsal.trying import Offer, Stage, attempt

EPOCHS = 1.0
FLOOR_SECONDS = 20.0
MAX_SHARE = 0.5
"""Of the allowance, for one method on one case."""


def allowance(
    num_samples: int,
    *,
    epochs: float = EPOCHS,
    epoch_seconds: float = math.inf,
    floor_seconds: float = FLOOR_SECONDS,
) -> Cost:
    """Return what a rehearsal may cost for a model trained on so many samples, an epoch in so much time."""
    return Cost(epochs * num_samples * FORWARD_AND_BACKWARD, floor_seconds, epochs * epoch_seconds)


def rehearse(
    stage: Stage,
    cases: Sequence[Case],
    offers: Mapping[CaseKind, Sequence[Offer]],
    rehearsal: Rehearsal,
    meter: Meter,
    allowed: Cost,
    *,
    is_due: Callable[[], bool],
    progress: Callable[[float], None],
) -> Rehearsal:
    """Return the record after this turn.

    Args:
        stage: copies of the version, whose models the meter counts.
        cases: the most worth knowing first.
        offers: the methods to rehearse, by kind of case.
        rehearsal: the record so far.
        meter: counts on from what the record says was spent.
        allowed: for the whole rehearsal.
        is_due: asked after each case and method; True ends the turn.
        progress: told the share of the cases that are done; may raise to cancel.

    Raises:
        UnlearningError: it may succeed later, such as for want of memory.
        DatasetRowError: a row cannot be read.
    """
    units = [(case, offer) for case in cases for offer in offers.get(case.kind, ())]
    done = {(one.case, one.method) for one in rehearsal.tries}
    left_out = [*rehearsal.left_out]
    tries = [*rehearsal.tries]
    is_complete = True
    for number, (case, offer) in enumerate(units):
        progress(number / len(units))
        name = offer.method.name
        if (case.name, name) in done or _too_dear(case, name) in left_out:
            continue
        if not allowed.covers(meter.spent):
            left_out.append(f"{len(units) - number} of {len(units)} tries: the allowance is spent")
            break
        if is_due():
            is_complete = False
            break
        earlier = [one for one in tries if (one.kind, one.method) == (case.kind, name)]
        try:
            with meter.limited(allowed, allowed.part(MAX_SHARE)):
                tries += attempt(stage, case, offer, earlier)
        except TooDearError:
            left_out.append(_too_dear(case, name))
    spent = meter.spent
    return replace(
        rehearsal,
        tries=tuple(tries),
        samples=round(spent.samples),
        budget=round(allowed.samples),
        seconds=spent.seconds,
        is_complete=is_complete,
        left_out=tuple(left_out),
    )


def _too_dear(case: Case, method: str) -> str:
    return f"{method} on {case.name}: dearer than the rest of the allowance, or than a case may be"
