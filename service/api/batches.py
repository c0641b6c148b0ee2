"""Reads the requests of a batch one by one, and answers each as it would be answered alone."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from service.api.errors import document_of, invalid
from service.api.schemas.forget import BatchAnswer, BatchEntry, BatchRefusal, BatchTaken, Call
from service.api.schemas.problem import Problem
from service.api.schemas.request import RequestView
from service.core import errors
from service.core.requests import intake
from service.core.requests.intake import Sent

KEY = "idempotency_key"


def read(entry: Any, call: Call, principal: str, declared: frozenset[str]) -> Sent | errors.Invalid:
    """Return a request of a batch, or what is wrong with it.

    A key stands for the request without it, as compact JSON in the order it was sent: a client that sends the
    same request alone, so spelled, gets the same answer.

    Args:
        entry: As JSON was read.
        call: The call that brought it.
        principal: Who calls.
        declared: Names that may be repeated in a pointer.
    """
    try:
        asked = BatchEntry.model_validate(entry)
    except ValidationError as error:
        return invalid(({**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()), declared)
    key = asked.idempotency_key
    return Sent(asked.intake(call, key, intake.fingerprint(_without_key(entry)) if key else ""), principal)


def answers(
    entries: Iterable[Sent | errors.Invalid], taken: Iterable[RequestView | Exception]
) -> list[BatchAnswer]:
    """Return the answer to each entry; `taken` holds what became of those that could be read."""
    outcome = iter(taken)
    return [_answer(next(outcome) if isinstance(entry, Sent) else entry) for entry in entries]


def _answer(outcome: RequestView | Exception) -> BatchAnswer:
    if isinstance(outcome, Exception):
        status, document = document_of(outcome)
        return BatchRefusal(status=status, problem=Problem.model_validate(document))
    return BatchTaken(status=202, request=outcome)


def _without_key(entry: Mapping[str, Any]) -> bytes:
    body = {name: value for name, value in entry.items() if name != KEY}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
