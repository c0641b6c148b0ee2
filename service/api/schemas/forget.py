"""A forget request as its caller sends it, and the decision of a person on one."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SkipValidation,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from service.api.schemas.problem import Problem
from service.api.schemas.request import RequestView
from service.api.schemas.values import Body, Code, ModelName
from service.core import clock
from service.core.requests import intake, targets
from service.core.requests.models import AUTO, TargetKind
from service.core.requests.review import Choice

MAX_SAMPLES = 100_000
MAX_BATCH = 1000
KEY_PATTERN = r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$"
MAX_KEY_CHARS = 255
CLOCK_SKEW = timedelta(minutes=5)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

_TRACE_PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=512)]


def _as_rfc3339(value: object) -> object:
    """Numbers and dates without a time would be read as moments nobody meant."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise PydanticCustomError(
            "not_rfc3339", "is not an RFC 3339 time with its offset, as 2026-01-31T09:05:00Z"
        )
    return value


def _not_ahead(moment: datetime) -> datetime:
    # Years before 1970 are typing errors, and the first years of the calendar have no moment in UTC.
    if moment.year < 1970 or moment > clock.now() + CLOCK_SKEW:
        raise PydanticCustomError("not_past", "lies in the future, or before 1970")
    return moment


SubmittedAt = Annotated[datetime, BeforeValidator(_as_rfc3339), AfterValidator(_not_ahead)]


def _not_offered(value: object) -> None:
    if value is not None:
        raise PydanticCustomError("not_offered", "is not offered yet; leave it out and poll the request")


@dataclass(frozen=True)
class Call:
    """What ties a request to the call that brought it, and to the trace which that belongs to."""

    correlation_id: str | None
    trace_parent: str | None


def trace_parent(header: str | None) -> str | None:
    """Return a W3C `traceparent` of the one version there is, or None for anything else."""
    return header if header and _TRACE_PARENT.fullmatch(header) else None


class ClassTarget(Body):
    """Whole classes."""

    kind: Literal[TargetKind.CLASS]
    classes: list[Annotated[int, Field(strict=True, ge=0)]] = Field(min_length=1, max_length=MAX_SAMPLES)

    def named(self) -> targets.Target:
        """Return the target in the kernel's terms."""
        return targets.Target(self.kind, classes=self.classes)

    @property
    def size(self) -> int:
        """How much it names."""
        return len(self.classes)


class SamplesTarget(Body):
    """Samples by the owner's ids."""

    kind: Literal[TargetKind.SAMPLES]
    sample_ids: list[Identifier] = Field(min_length=1, max_length=MAX_SAMPLES)

    def named(self) -> targets.Target:
        """Return the target in the kernel's terms."""
        return targets.Target(self.kind, sample_ids=self.sample_ids)

    @property
    def size(self) -> int:
        """How much it names."""
        return len(self.sample_ids)


class SubjectTarget(Body):
    """Everything that comes from one person."""

    kind: Literal[TargetKind.SUBJECT]
    subject_id: Identifier

    def named(self) -> targets.Target:
        """Return the target in the kernel's terms."""
        return targets.Target(self.kind, subject_id=self.subject_id)

    @property
    def size(self) -> int:
        """How much it names."""
        return 1


Target = Annotated[ClassTarget | SamplesTarget | SubjectTarget, Field(discriminator="kind")]


class Forget(Body):
    """The body of `POST /v1/forget-requests`."""

    model: ModelName
    target: Target
    method: Code = Field(default=AUTO, description="A method of `GET /v1/methods`, or `auto`.")
    submitted_at: SubmittedAt | None = Field(
        default=None, description="When the person asked; the legal clock starts there. Default: now."
    )
    ground: Code | None = Field(default=None, description="Legal ground.", examples=["art-17-1-a"])
    callback_url: Annotated[None, BeforeValidator(_not_offered)] = Field(
        default=None, description="Not offered yet."
    )

    def intake(self, call: Call, idempotency_key: str | None, fingerprint: str) -> intake.Intake:
        """Return what the kernel takes in."""
        return intake.Intake(
            model=self.model,
            target=self.target.named(),
            method=self.method,
            submitted_at=self.submitted_at,
            ground=self.ground,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
            correlation_id=call.correlation_id,
            trace_parent=call.trace_parent,
        )


class BatchEntry(Forget):
    """One of the requests of a batch; the key is what `Idempotency-Key` is to a single one."""

    idempotency_key: (
        Annotated[str, StringConstraints(pattern=KEY_PATTERN, max_length=MAX_KEY_CHARS)] | None
    ) = None


class Batch(Body):
    """The body of `POST /v1/forget-requests/batch`: each entry is looked at by itself."""

    requests: list[SkipValidation[BatchEntry]] = Field(min_length=1, max_length=MAX_BATCH)


class BatchTaken(BaseModel):
    """A request of a batch that was taken."""

    status: Literal[202]
    request: RequestView


class BatchRefusal(BaseModel):
    """A request of a batch that was refused: the problem that it would have been answered alone."""

    status: int
    problem: Problem


BatchAnswer = BatchTaken | BatchRefusal


class BatchView(BaseModel):
    """The answers to a batch, in the order of its requests."""

    items: list[BatchAnswer]


class Decision(Body):
    """The body of `POST /v1/forget-requests/{id}/decision`."""

    decision: Choice
    reason: Code = Field(description="Reason code; prose about a person has no place here.")
