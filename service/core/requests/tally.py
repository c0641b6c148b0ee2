"""Ends a run and counts it, in the transaction in which it ends; counts what audits found.

Labels are names of methods, checks, states and verdicts, never of a model or a request.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from service.core.counting import repository as counting
from service.core.counting.repository import Counter
from service.core.requests.models import Run, RunState

NO_METHOD = "none"
"""Of a run that ended before any rung was tried."""


def close(
    session: Session, run: Run, state: RunState, reason: str | None = None, *, outcome: str | None = None
) -> None:
    """End a run and count it, unless it has ended.

    Args:
        session: The transaction.
        run: The run.
        state: How it ended.
        reason: Why it broke.
        outcome: What it is counted as; its state, if not given.
    """
    if run.finished_at is not None:
        return
    run.close(state, reason)
    labels = (method_of(run), outcome or state)
    counting.add(session, Counter.RUNS, *labels)
    if run.finished_at is not None:
        seconds = (run.finished_at - run.started_at).total_seconds()
        counting.add(session, Counter.RUN_SECONDS, *labels, amount=max(0.0, seconds))


def audited(session: Session, audit: Mapping[str, Any]) -> None:
    """Count an audit and the checks that it did not pass."""
    counting.add(session, Counter.AUDITS, audit["verdict"])
    for check in audit["checks"]:
        if not check["passed"]:
            counting.add(session, Counter.CHECKS_REFUSED, check["name"])


def method_of(run: Run) -> str:
    """Return the methods of a run's deciding rung, joined by a plus: one for classes, one for samples."""
    if not run.rungs:
        return NO_METHOD
    rung = run.deciding_rung
    names = [step["method"] for step in rung["steps"]] or rung.get("methods", [])
    return "+".join(names) or NO_METHOD
