"""What a certificate claims: the records, and the one sentence that each guarantee allows.

The wording follows from the guarantee and from nothing else, so a certificate cannot claim more than its
method can give: `exact` was retrained without, `certified` has a proof with its epsilon and delta,
`approximate` was audited and is never called erased, `suppressed` is a masked output.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from service.core.ledger import canonical, errors

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_BOUNDS = ("epsilon", "delta")
PASSED = "pass"


class Guarantee(StrEnum):
    """What may be said of the result."""

    EXACT = "exact"
    CERTIFIED = "certified"
    APPROXIMATE = "approximate"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class File:
    """One file of the new version and its SHA-256 in hex."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Target:
    """What was to be forgotten: the kind of request and how many samples it named, never which."""

    kind: str
    num_samples: int


@dataclass(frozen=True, slots=True)
class Method:
    """How it was done: all that determines the output.

    Attributes:
        parameters: Every value that changed the output; for a certified method epsilon and delta too.
        seed: Written as text, because JSON numbers end at 2**53.
    """

    name: str
    version: str
    parameters: Mapping[str, object]
    seed: int
    guarantee: Guarantee
    caveats: tuple[str, ...]


class Role(StrEnum):
    """What a check had to do with the verdict."""

    GATE = "gate"
    """Had it failed, the verdict would be fail."""
    UNDECIDED = "undecided"
    """It could not have noticed a fault, or had nothing to compare with."""
    SHOWN = "shown"
    """It decides nothing about this claim."""


@dataclass(frozen=True, slots=True)
class Check:
    """One measured number, its interval and the limit it was held against; None where there is none."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    threshold: float | None
    passed: bool
    detail: str
    role: Role = Role.GATE


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit measured and decided."""

    suite: str
    verdict: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Who took a version that its audit did not pass, or that only masks an output, upon themselves.

    Attributes:
        by: The principal's id, not a name.
        reason: Their reason code.
        at: When, as RFC 3339 text.
    """

    by: str
    reason: str
    at: str


class Standing(Protocol):
    """As much of a claim as its one sentence is made of; a report of the audit states the same."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def version(self) -> int:
        """The new version."""

    @property
    def method(self) -> Method:
        """How it was done."""

    @property
    def audit(self) -> Audit:
        """What the audit decided."""

    @property
    def acceptance(self) -> Acceptance | None:
        """Who took it upon themselves; None where the audit passed it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Everything a certificate says of one completed request.

    Attributes:
        request: The request's pseudonym, 64 hex digits.
        files: The new version's files, at least one.
        acceptance: Who accepted the version in the audit's place; None where the audit or the policy did.
    """

    request: str
    model: str
    base_version: int
    version: int
    target: Target
    method: Method
    audit: Audit
    received_at: datetime
    completed_at: datetime
    files: tuple[File, ...]
    acceptance: Acceptance | None = None

    @property
    def statement(self) -> str:
        """The sentence a reader may quote, as strong as the guarantee and no stronger."""
        return statement(self)


def statement(claim: Standing) -> str:
    """Return the sentence that a guarantee allows, as strong as it and no stronger."""
    return _WORDING[claim.method.guarantee](claim) + _accepted(claim)


def _exact(claim: Standing) -> str:
    return f"Version {claim.version} of {claim.model} was retrained without the forgotten data."


def _certified(claim: Standing) -> str:
    epsilon, delta = (canonical.json_bytes(claim.method.parameters[name]).decode() for name in _BOUNDS)
    return (
        f"Version {claim.version} of {claim.model} was changed by a method with a proof: it cannot be told "
        f"from a model retrained without the forgotten data beyond epsilon {epsilon} and delta {delta}."
    )


def _approximate(claim: Standing) -> str:
    return (
        f"Version {claim.version} of {claim.model} was changed to forget the data: audited, not proven "
        f"erased. Verdict of the audit: {claim.audit.verdict}."
    )


def _suppressed(claim: Standing) -> str:
    return (
        f"Version {claim.version} of {claim.model} no longer shows the data: output masked. "
        f"Its parameters may still hold what was learned. Verdict of the audit: {claim.audit.verdict}."
    )


def _accepted(claim: Standing) -> str:
    """What a reader must know where a person decided; nothing where none did."""
    if claim.acceptance is None:
        return ""
    by, reason = claim.acceptance.by, claim.acceptance.reason
    if claim.audit.verdict == PASSED:
        return f" Accepted by a person ({by}, {reason}) although it only masks an output."
    return f" Accepted by a person ({by}, {reason}) although the audit said {claim.audit.verdict}."


_WORDING: Mapping[Guarantee, Callable[[Standing], str]] = {
    Guarantee.EXACT: _exact,
    Guarantee.CERTIFIED: _certified,
    Guarantee.APPROXIMATE: _approximate,
    Guarantee.SUPPRESSED: _suppressed,
}
_ACCEPTABLE = frozenset({Guarantee.APPROXIMATE, Guarantee.SUPPRESSED})


def require_sound(claim: Claim) -> None:
    """Refuse a claim that its fields do not support.

    Raises:
        CertificateRefused: The request is not a pseudonym, a digest is not SHA-256, there are no files, a
            certified method names no epsilon and delta, or what a person accepted claims more than it may.
    """
    require_pseudonym(claim.request)
    if not claim.files or not all(_HEX_DIGEST.fullmatch(file.sha256) for file in claim.files):
        raise errors.CertificateRefused("expected one or more files, each with its SHA-256 in 64 hex digits")
    bounds = [claim.method.parameters.get(name) for name in _BOUNDS]
    if claim.method.guarantee is Guarantee.CERTIFIED and not all(_is_number(bound) for bound in bounds):
        raise errors.CertificateRefused("expected a certified method to name its epsilon and delta")
    if claim.acceptance is not None and claim.method.guarantee not in _ACCEPTABLE:
        raise errors.CertificateRefused("expected what a person accepted to claim no more than approximate")


def require_pseudonym(request: str) -> None:
    """Refuse a name of a request that is not its pseudonym.

    Raises:
        CertificateRefused: It is not 64 hex digits.
    """
    if not _HEX_DIGEST.fullmatch(request):
        raise errors.CertificateRefused("expected the request's pseudonym, 64 hex digits")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
