"""Who a run serves: of the requests that wait for a model, those that can be served together.

A run uses one method for classes and one for samples, and nobody is served by a method that only somebody
else named. What was forgotten meanwhile completes at once. What an interim version has forgotten is left to
the exact retraining, which takes every request; what is masked by the base is left out by no run, because a
run starts from the weights without the mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.core.ledger import repository as ledger
from service.core.lineage import repository as lineage
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.registry.policy import Policy
from service.core.requests import interims, lifecycle, repository
from service.core.requests.models import AUTO, ForgetRequest, TargetKind
from service.core.requests.states import DECIDABLE, Status


@dataclass(frozen=True)
class Gathered:
    """The requests that a run serves.

    Attributes:
        served: In the order they came, those masked already first.
        class_method: Method asked for by class requests, or `auto`.
        samples_method: Method asked for by sample and subject requests, or `auto`.
        is_masked_first: Whether the run begins with a mask.
        left: Others that wait, which another run must serve.
    """

    served: Sequence[ForgetRequest]
    class_method: str = AUTO
    samples_method: str = AUTO
    is_masked_first: bool = False
    left: Sequence[ForgetRequest] = ()


def gather(session: Session, model: Model, *, is_exact_only: bool, at_most: int | None = None) -> Gathered:
    """Lock what waits for a model and return what one run can serve.

    Args:
        session: The transaction.
        model: The model.
        is_exact_only: Whether the run retrains exactly, which serves every request.
        at_most: How many it may serve, but for those that no run may leave out; None for all.
    """
    waiting = _still_open(session, model)
    if not is_exact_only:
        waiting = _unsettled(session, model, waiting)
    if waiting:
        waiting = [*waiting, *_rejoined(session, model, waiting)]
    if is_exact_only:
        return Gathered(waiting)
    policy = Policy.model_validate(model.policy)
    is_masked_first = any(interims.is_to_mask(one, policy) for one in waiting)
    served, left, methods = _together(waiting, policy, is_masked_first=is_masked_first)
    if at_most is not None:
        size = max(at_most, sum(interims.is_suppressed(one) for one in served))
        served, left = served[:size], [*served[size:], *left]
    return Gathered(
        served,
        class_method=methods.get(True, AUTO),
        samples_method=methods.get(False, AUTO),
        is_masked_first=is_masked_first,
        left=left,
    )


def _still_open(session: Session, model: Model) -> list[ForgetRequest]:
    """Complete the requests whose whole target was forgotten while they waited, and return the others."""
    classes = lineage.forgotten_classes(session, model.id)
    positions = set(lineage.forgotten_positions(session, model.id))
    still_open: list[ForgetRequest] = []
    done: list[ForgetRequest] = []
    for request in repository.waiting_for(session, model.id):
        is_done = (
            classes.keys() >= {*request.classes}
            if request.classes
            else positions.issuperset(request.positions or ())
        )
        (done if is_done else still_open).append(request)
    places = {place for one in done for place in one.positions or ()}
    by_position = lineage.runs_that_forgot(session, model.id, sorted(places)) if places else {}
    for request in done:
        runs = [classes[label] for label in request.classes]
        runs += [by_position[place] for place in request.positions or ()]
        request.run_id = max(runs, default=None)
    lifecycle.move_all(
        session,
        done,
        Status.COMPLETED,
        reason="already_forgotten",
        own_facts=[{"run": str(request.run_id)} for request in done],
    )
    return still_open


def _unsettled(session: Session, model: Model, waiting: Sequence[ForgetRequest]) -> list[ForgetRequest]:
    """Return the requests that no interim version has forgotten; new ones that it covers join it."""
    forgotten = interims.forgotten(session, model)
    settled = [one for one in repository.with_interim(session, model.id) if interims.is_settled(one)]
    unsettled: list[ForgetRequest] = []
    joining: list[ForgetRequest] = []
    for request in waiting:
        if interims.is_settled(request):
            continue
        is_covered = bool(settled) and forgotten.covers(request)
        (joining if is_covered else unsettled).append(request)
    if joining:
        _join(session, model, joining, settled[-1])
    return unsettled


def _join(session: Session, model: Model, joining: Sequence[ForgetRequest], settled: ForgetRequest) -> None:
    """Let requests wait with one that the newest interim version serves, for it serves them as well."""
    told = []
    for request in joining:
        request.interim = settled.interim
        request.reason = interims.INTERIM_PUBLISHED
        body = {"request": str(request.id), **(request.interim or {})}
        told.append(ledger.Fact("request.joined_interim", body, request.id))
    session.flush()
    ledger.append_all(session, told)
    interims.schedule(session, model)


def _rejoined(session: Session, model: Model, waiting: Sequence[ForgetRequest]) -> list[ForgetRequest]:
    """Queue again what is masked and rests: a run starts without the mask, so it must forget that too."""
    there = {one.id for one in waiting}
    masked = [one.id for one in repository.with_interim(session, model.id) if interims.is_suppressed(one)]
    asked = repository.requests_by_id(session, [one for one in masked if one not in there])
    resting = [request for request in asked if request.status in DECIDABLE]
    for run_id in {one.run_id for one in resting if one.run_id is not None}:
        registry.drop_candidate(session, run_id)
    lifecycle.move_all(
        session, resting, Status.QUEUED, reason=interims.INTERIM_PUBLISHED, why="masked_by_the_base"
    )
    return resting


def _together(
    waiting: Sequence[ForgetRequest], policy: Policy, *, is_masked_first: bool
) -> tuple[list[ForgetRequest], list[ForgetRequest], dict[bool, str]]:
    """Return the requests that one run can serve, the others, and the methods of that run.

    All but those that ask for another method than an older one of their kind; `auto` is one too. What is
    masked already comes first, because no run may leave it out. A run that masks serves only what is to be
    masked, so that it takes seconds. The method of requests for classes stands under True.
    """
    methods: dict[bool, str] = {}
    served: list[ForgetRequest] = []
    left: list[ForgetRequest] = []
    for request in sorted(waiting, key=lambda one: not interims.is_suppressed(one)):
        is_kept_out = is_masked_first and not (
            interims.is_suppressed(request) or interims.is_to_mask(request, policy)
        )
        method = AUTO if request.method == interims.MASK_METHOD else request.method
        is_served = not is_kept_out and method == methods.setdefault(request.kind == TargetKind.CLASS, method)
        (served if is_served else left).append(request)
    return served, left, methods
