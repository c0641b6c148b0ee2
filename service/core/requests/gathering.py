"""Who a run serves: of the requests that wait for a model, those that can be served together.

A run uses one method for classes and one for samples, and nobody is served by a method that only somebody
else named. What was forgotten meanwhile completes at once. What an interim version has forgotten is left to
the exact retraining, which takes every request; what is masked by the base is left out by no run, because a
run starts from the weights without the mask.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.core.ledger import repository as ledger
from service.core.lineage import repository as lineage
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.registry.policy import Policy
from service.core.requests import interims, lifecycle, repository
from service.core.requests.models import ForgetRequest, TargetKind
from service.core.requests.states import DECIDABLE, Status

AUTO = "auto"


@dataclass(frozen=True)
class Gathered:
    """The requests that a run serves.

    Attributes:
        served: In the order they came, those masked already first.
        class_method: Method asked for by class requests, or `auto`.
        samples_method: Method asked for by sample and subject requests, or `auto`.
        is_masked_first: Whether the run begins with a mask.
        leaves_some: Whether others wait that this run does not serve.
    """

    served: Sequence[ForgetRequest]
    class_method: str = AUTO
    samples_method: str = AUTO
    is_masked_first: bool = False
    leaves_some: bool = False


def gather(session: Session, model: Model, *, is_exact_only: bool, at_most: int | None = None) -> Gathered:
    """Lock what waits for a model and return what one run can serve.

    Args:
        session: The transaction.
        model: The model.
        is_exact_only: Whether the run retrains exactly, which serves every request.
        at_most: How many it may serve, but for those that no run may leave out; None for all.
    """
    classes = lineage.forgotten_classes(session, model.id)
    positions = set(lineage.forgotten_positions(session, model.id))
    waiting = [
        one
        for one in repository.waiting_for(session, model.id)
        if not _is_done(session, one, classes, positions)
    ]
    if not is_exact_only:
        waiting = _unsettled(session, model, waiting)
    if waiting:
        waiting = [*waiting, *_rejoined(session, model, waiting)]
    if is_exact_only:
        return Gathered(waiting)
    is_masked_first = any(_is_to_mask(one, model) for one in waiting)
    served, methods = _together(waiting, model, is_masked_first=is_masked_first)
    if at_most is not None:
        served = served[: max(at_most, sum(interims.is_suppressed(one) for one in served))]
    return Gathered(
        served,
        class_method=methods.get(True, AUTO),
        samples_method=methods.get(False, AUTO),
        is_masked_first=is_masked_first,
        leaves_some=len(served) < len(waiting),
    )


def _is_done(
    session: Session, request: ForgetRequest, classes: Mapping[int, uuid.UUID], positions: set[int]
) -> bool:
    """Complete a request whose whole target was forgotten while it waited; tell whether it was."""
    if request.classes:
        missing = [label for label in request.classes if label not in classes]
        run_id = max((classes[label] for label in request.classes if label in classes), default=None)
    else:
        places = request.positions or []
        missing = [place for place in places if place not in positions]
        run_id = None
        if not missing:
            run_id = max(lineage.runs_that_forgot(session, request.model_id, places).values(), default=None)
    if missing:
        return False
    request.run_id = run_id
    lifecycle.move(session, request, Status.COMPLETED, reason="already_forgotten", run=str(run_id))
    return True


def _unsettled(session: Session, model: Model, waiting: Sequence[ForgetRequest]) -> list[ForgetRequest]:
    """Return the requests that no interim version has forgotten; new ones that it covers join it."""
    forgotten = interims.forgotten(session, model)
    settled = [one for one in repository.with_interim(session, model.id) if interims.is_settled(one)]
    unsettled = []
    for request in waiting:
        if interims.is_settled(request):
            continue
        if not settled or not forgotten.covers(request):
            unsettled.append(request)
            continue
        request.interim = settled[-1].interim
        request.reason = interims.INTERIM_PUBLISHED
        body = {"request": str(request.id), **(request.interim or {})}
        ledger.append(session, "request.joined_interim", body, request_id=request.id)
        session.flush()
        interims.schedule(session, model)
    return unsettled


def _rejoined(session: Session, model: Model, waiting: Sequence[ForgetRequest]) -> list[ForgetRequest]:
    """Queue again what is masked and rests: a run starts without the mask, so it must forget that too."""
    there = {one.id for one in waiting}
    masked = [one.id for one in repository.with_interim(session, model.id) if interims.is_suppressed(one)]
    resting = [
        request
        for request_id in masked
        if request_id not in there
        and (request := repository.request_by_id(session, request_id, lock=True)).status in DECIDABLE
    ]
    for request in resting:
        if request.run_id is not None:
            registry.drop_candidate(session, request.run_id)
        lifecycle.move(
            session, request, Status.QUEUED, reason=interims.INTERIM_PUBLISHED, why="masked_by_the_base"
        )
    return resting


def _is_to_mask(request: ForgetRequest, model: Model) -> bool:
    """Whether a request is answered by a masked output first, and was not yet."""
    if request.kind != TargetKind.CLASS or request.interim is not None:
        return False
    if request.method == interims.MASK_METHOD:
        return True
    return request.method == AUTO and Policy.model_validate(model.policy).suppress_first


def _together(
    waiting: Sequence[ForgetRequest], model: Model, *, is_masked_first: bool
) -> tuple[list[ForgetRequest], dict[bool, str]]:
    """Return the requests that one run can serve, and the method of those for classes (True) and of the rest.

    All but those that ask for another method than an older one of their kind; `auto` is one too. What is
    masked already comes first, because no run may leave it out. A run that masks serves only what is to be
    masked, so that it takes seconds.
    """
    methods: dict[bool, str] = {}
    served = []
    for request in sorted(waiting, key=lambda one: not interims.is_suppressed(one)):
        if is_masked_first and not (interims.is_suppressed(request) or _is_to_mask(request, model)):
            continue
        method = AUTO if request.method == interims.MASK_METHOD else request.method
        if method == methods.setdefault(request.kind == TargetKind.CLASS, method):
            served.append(request)
    return served, methods
