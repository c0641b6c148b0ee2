"""A forget request as its caller sends it, and the decision of a person on one."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from service.api.schemas.values import Body, Code, ModelName
from service.core import clock
from service.core.requests import intake
from service.core.requests.models import TargetKind
from service.core.requests.review import Choice

MAX_SAMPLES = 100_000
CLOCK_SKEW = timedelta(minutes=5)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

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


class ClassTarget(Body):
    """Whole classes."""

    kind: Literal[TargetKind.CLASS]
    classes: list[Annotated[int, Field(strict=True, ge=0)]] = Field(min_length=1, max_length=MAX_SAMPLES)

    def named(self) -> intake.Target:
        """Return the target in the kernel's terms."""
        return intake.Target(self.kind, classes=self.classes)


class SamplesTarget(Body):
    """Samples by the owner's ids."""

    kind: Literal[TargetKind.SAMPLES]
    sample_ids: list[Identifier] = Field(min_length=1, max_length=MAX_SAMPLES)

    def named(self) -> intake.Target:
        """Return the target in the kernel's terms."""
        return intake.Target(self.kind, sample_ids=self.sample_ids)


class SubjectTarget(Body):
    """Everything that comes from one person."""

    kind: Literal[TargetKind.SUBJECT]
    subject_id: Identifier

    def named(self) -> intake.Target:
        """Return the target in the kernel's terms."""
        return intake.Target(self.kind, subject_id=self.subject_id)


Target = Annotated[ClassTarget | SamplesTarget | SubjectTarget, Field(discriminator="kind")]


class Forget(Body):
    """The body of `POST /v1/forget-requests`."""

    model: ModelName
    target: Target
    method: Code = Field(default=intake.AUTO, description="A method of `GET /v1/methods`, or `auto`.")
    submitted_at: SubmittedAt | None = Field(
        default=None, description="When the person asked; the legal clock starts there. Default: now."
    )
    ground: Code | None = Field(default=None, description="Legal ground.", examples=["art-17-1-a"])
    callback_url: Annotated[None, BeforeValidator(_not_offered)] = Field(
        default=None, description="Not offered yet."
    )

    def intake(self, idempotency_key: str | None, fingerprint: str) -> intake.Intake:
        """Return what the kernel takes in."""
        return intake.Intake(
            model=self.model,
            target=self.target.named(),
            method=self.method,
            submitted_at=self.submitted_at,
            ground=self.ground,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
        )


class Decision(Body):
    """The body of `POST /v1/forget-requests/{id}/decision`."""

    decision: Choice
    reason: Code = Field(description="Reason code; prose about a person has no place here.")
