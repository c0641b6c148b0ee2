"""How a request is shown while its run climbs the ladder."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from service.api.schemas.request import RequestView, request_view
from service.core.requests.models import ForgetRequest, Run, RunState, TargetKind
from service.core.requests.states import Status

NOW = datetime(2026, 1, 31, 9, 5, tzinfo=UTC)
CLASS_STEP = {
    "kind": "class", "method": "one_shot", "method_version": "1", "parameters": {"sign": -1},
    "guarantee": "approximate", "seconds": 1.0, "diagnostics": {}, "caveats": [],
}  # fmt: skip
SAMPLES_STEP = {**CLASS_STEP, "kind": "samples", "method": "ssd"}
CHECK = {"name": "no_op", "value": 1, "interval": [0, 2], "threshold": 0.5, "passed": True, "detail": "moved"}


def audit(verdict: str, guarantee: str = "approximate") -> dict[str, Any]:
    """What an audit found."""
    return {"suite": "1", "verdict": verdict, "guarantee": guarantee, "checks": [CHECK], "seconds": 0.1}


def shown(rungs: list[dict[str, Any]], kind: TargetKind = TargetKind.CLASS, **fields: Any) -> RequestView:
    """The view of a request whose run tried these rungs."""
    request = ForgetRequest(
        id=uuid.uuid4(), kind=kind, classes=[3] if kind == TargetKind.CLASS else [], num_samples=7,
        positions=[1, 2], status=Status.AUDITING, received_at=NOW, due_at=NOW + timedelta(days=28),
    )  # fmt: skip
    run = Run(
        base_version=1, version=None, rungs=rungs, stage="audit", fraction=0.25, started_at=NOW,
        state=RunState.AUDITING,
    )  # fmt: skip
    for name, value in fields.items():
        setattr(run if hasattr(run, name) and name != "status" else request, name, value)
    return request_view(request, "digits", run)


def test_the_step_that_fits_the_request_is_shown():
    rung = {"steps": [CLASS_STEP, SAMPLES_STEP], "audit": None}

    assert shown([rung]).run.method == "one_shot"
    assert shown([rung], TargetKind.SAMPLES).run.method == "ssd"
    assert shown([rung], TargetKind.SUBJECT).run.method == "ssd"
    assert shown([{"steps": [CLASS_STEP], "audit": None}], TargetKind.SUBJECT).run.method == "one_shot"


def test_the_last_rung_decides():
    refused = {"steps": [SAMPLES_STEP], "audit": audit("fail")}
    retrained = {"steps": [{**SAMPLES_STEP, "method": "retrain", "guarantee": "exact"}], "audit": None}

    view = shown([refused, retrained])

    assert (view.run.method, view.run.guarantee, view.run.attempts) == ("retrain", "exact", 2)
    assert view.audit is None


def test_an_audit_may_lower_what_is_claimed():
    view = shown([{"steps": [CLASS_STEP], "audit": audit("pass", "suppressed")}])

    assert view.run.guarantee == "suppressed"
    assert view.audit.model_dump() == {
        "verdict": "pass",
        "checks": [
            {
                "name": "no_op",
                "value": 1.0,
                "interval": [0.0, 2.0],
                "threshold": 0.5,
                "passed": True,
                "is_decided": True,
                "detail": "moved",
            }
        ],
    }


def test_a_rung_without_a_candidate_leaves_the_one_before_on_show():
    refused = {"steps": [CLASS_STEP], "audit": audit("fail")}
    failed = {"steps": [], "audit": None, "methods": ["retrain"], "code": "no_recipe", "text": "no recipe"}

    view = shown([refused, failed])

    assert (view.run.method, view.audit.verdict, view.run.attempts) == ("one_shot", "fail", 2)
    assert shown([failed]).run.method is None


def test_the_rung_that_was_chosen_is_shown_though_others_came_after_it():
    chosen = {"steps": [CLASS_STEP], "audit": audit("inconclusive")}
    later = {"steps": [SAMPLES_STEP], "audit": audit("fail")}

    view = shown([chosen, later], rung=0)

    assert (view.run.method, view.audit.verdict) == ("one_shot", "inconclusive")


def test_a_run_that_has_tried_nothing_yet_shows_its_stage():
    view = shown([], status=Status.RUNNING)

    assert view.progress.model_dump() == {"stage": "audit", "fraction": 0.25}
    assert (view.run.method, view.run.attempts, view.run.seconds) == (None, 0, None)


def test_a_finished_run_shows_its_seconds_and_no_progress():
    view = shown(
        [{"steps": [CLASS_STEP], "audit": audit("pass")}],
        status=Status.COMPLETED, version=2, finished_at=NOW + timedelta(seconds=3),
    )  # fmt: skip

    assert (view.run.seconds, view.run.version, view.progress) == (3.0, 2, None)
    assert {"certificate", "proof"} <= view.links.keys()


def test_positions_and_ids_are_not_shown():
    view = shown([], TargetKind.SAMPLES)

    assert view.target.model_dump(mode="json") == {"kind": "samples", "classes": [], "num_samples": 7}
    assert set(view.model_dump()) == {
        "id", "model", "target", "status", "reason", "received_at", "due_at", "completed_at", "progress",
        "run", "audit", "rungs", "interim", "acceptance", "review", "correlation_id", "links",
    }  # fmt: skip
