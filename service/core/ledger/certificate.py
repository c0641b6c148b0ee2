"""Erasure certificates: an in-toto Statement v1 in a DSSE envelope, one for each completed request.

The subject is the new version's files; the predicate says what was done and measured:

    {"_type": "https://in-toto.io/Statement/v1",
     "predicateType": "https://lethe.dev/erasure/v1",
     "subject": [{"digest": {"sha256": "..."}, "name": "model.safetensors"}],
     "predicate": {"request": PSEUDONYM, "model": "digits", "base_version": 1, "version": 2,
                   "target": {"kind": "class", "num_samples": 108},
                   "method": {"name", "version", "parameters", "seed", "guarantee", "caveats"},
                   "audit": {"suite", "verdict", "checks": [{"name", "value", "low", "high", "threshold",
                             "passed", "detail"}]},
                   "received_at": TIME, "completed_at": TIME, "statement": "..."}}

Where a person accepted the version in the audit's place, the predicate has one field more,
`"acceptance": {"by", "reason", "at"}`. A check that could not decide, or decides nothing about this claim,
has `"role": "undecided"` or `"shown"`.

The predicate type is a name, not a link that is fetched. The wording of "statement" is `claims`' to choose.
Laws, for a sound claim c whose parameters are JSON values: `parse(build(c)) == c` and
`verify(sign(c, signer), signer.verifier) == c`. A signed payload is accepted only if rebuilding it from what
was read gives the same bytes, so no field is missing, unknown or spelled otherwise.
"""

from dataclasses import asdict
from datetime import datetime
from typing import TypeVar

from service.core.ledger import canonical, claims, dsse, errors, signing

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://lethe.dev/erasure/v1"


def build(claim: claims.Claim) -> dict[str, object]:
    """The in-toto statement.

    Raises:
        CertificateRefused: The request is not a pseudonym, a digest is not SHA-256, there are no files, or
            a certified method names no epsilon and delta.
    """
    claims.require_sound(claim)
    return {
        "_type": STATEMENT_TYPE,
        "predicateType": PREDICATE_TYPE,
        "subject": [{"name": file.name, "digest": {"sha256": file.sha256}} for file in claim.files],
        "predicate": _predicate(claim),
    }


def sign(claim: claims.Claim, signer: signing.Signer) -> bytes:
    """The `.dsse.json` file, the same bytes every time.

    Raises:
        CertificateRefused: The certificate is not sound, or holds a value without canonical JSON (NaN, an
            integer beyond 2**53).
    """
    return Series(claim, signer).sign(claim.request, claim.target, claim.received_at)


class Series:
    """Certificates that differ in their requests alone: what they share is checked and spelled once.

    A certificate is some kilobytes of canonical JSON, most of it the audit's, and a run serves thousands.

    Args:
        claim: Any one of them.
        signer: Signs them all.

    Raises:
        CertificateRefused: The claim is not sound, or holds a value without canonical JSON.
    """

    def __init__(self, claim: claims.Claim, signer: signing.Signer) -> None:
        self._signer = signer
        try:
            statement = {name: canonical.json_bytes(value) for name, value in build(claim).items()}
            predicate = {name: canonical.json_bytes(value) for name, value in _predicate(claim).items()}
        except errors.NotCanonical as error:
            raise errors.CertificateRefused(f"the certificate cannot be written: {error}") from error
        self._statement, self._predicate = statement, predicate
        self._statement_form, self._predicate_form = map(canonical.ObjectForm, (statement, predicate))

    def sign(self, request: str, target: claims.Target, received_at: datetime) -> bytes:
        """The `.dsse.json` file of one request.

        Raises:
            CertificateRefused: The request is not a pseudonym, or a value has no canonical JSON.
        """
        claims.require_pseudonym(request)
        try:
            own = {
                name: canonical.json_bytes(value)
                for name, value in _own(request, target, received_at).items()
            }
            predicate = self._predicate_form.of({**self._predicate, **own})
            payload = self._statement_form.of({**self._statement, "predicate": predicate})
        except errors.NotCanonical as error:
            raise errors.CertificateRefused(f"the certificate cannot be written: {error}") from error
        return dsse.sign(PAYLOAD_TYPE, payload, self._signer)


def verify(data: bytes, verifier: signing.Verifier) -> claims.Claim:
    """Read a certificate that this key must have signed.

    Raises:
        MalformedEnvelope: It is no DSSE envelope of an in-toto statement.
        UnknownSigner: The key has not signed it.
        MalformedCertificate: The statement is not an erasure statement, or says more than it may.
    """
    payload = dsse.verify(data, PAYLOAD_TYPE, verifier)
    try:
        statement = canonical.parse_json(payload)
    except errors.NotCanonical as error:
        raise errors.MalformedCertificate(f"expected a statement in canonical JSON: {error}") from error
    return parse(statement)


def parse(statement: object) -> claims.Claim:
    """Read an erasure statement.

    Raises:
        MalformedCertificate: A field is missing, unknown or of another type, or the wording is not the one
            that belongs to the guarantee.
    """
    document = _Reader(statement)
    if document.get("_type", str) != STATEMENT_TYPE or document.get("predicateType", str) != PREDICATE_TYPE:
        raise errors.MalformedCertificate(f"expected an in-toto statement of type {PREDICATE_TYPE}")
    predicate = document.reader("predicate")
    try:
        given = canonical.json_bytes(statement)
        claim = _read_claim(predicate, document.readers("subject"))
        is_exact = canonical.json_bytes(build(claim)) == given
    except (ValueError, errors.Refused) as error:
        raise errors.MalformedCertificate(f"expected an erasure statement: {error}") from error
    if predicate.get("statement", str) != claim.statement:
        raise errors.MalformedCertificate(
            f"expected the wording that belongs to the guarantee {claim.method.guarantee}, got another"
        )
    if not is_exact:
        raise errors.MalformedCertificate("expected exactly the fields of an erasure statement, got others")
    return claim


def _predicate(claim: claims.Claim) -> dict[str, object]:
    method = claim.method
    accepted = {} if claim.acceptance is None else {"acceptance": asdict(claim.acceptance)}
    return {
        **_own(claim.request, claim.target, claim.received_at),
        "model": claim.model,
        "base_version": claim.base_version,
        "version": claim.version,
        "method": {
            "name": method.name,
            "version": method.version,
            "parameters": method.parameters,
            "seed": str(method.seed),
            "guarantee": method.guarantee,
            "caveats": method.caveats,
        },
        "audit": {
            "suite": claim.audit.suite,
            "verdict": claim.audit.verdict,
            "checks": [_check(check) for check in claim.audit.checks],
        },
        "completed_at": canonical.time_text(claim.completed_at),
        "statement": claim.statement,
        **accepted,
    }


def _own(request: str, target: claims.Target, received_at: datetime) -> dict[str, object]:
    """What a predicate says of one request; all else it shares with those of the same run and kind."""
    return {
        "request": request,
        "target": {"kind": target.kind, "num_samples": target.num_samples},
        "received_at": canonical.time_text(received_at),
    }


def _check(check: claims.Check) -> dict[str, object]:
    fields = asdict(check)
    role = fields.pop("role")
    return fields if role is claims.Role.GATE else {**fields, "role": role}


def _read_claim(predicate: "_Reader", subject: list["_Reader"]) -> claims.Claim:
    target, method, audit = (predicate.reader(name) for name in ("target", "method", "audit"))
    return claims.Claim(
        request=predicate.get("request", str),
        model=predicate.get("model", str),
        base_version=predicate.get("base_version", int),
        version=predicate.get("version", int),
        target=claims.Target(target.get("kind", str), target.get("num_samples", int)),
        method=claims.Method(
            name=method.get("name", str),
            version=method.get("version", str),
            parameters=method.get("parameters", dict),
            seed=int(method.get("seed", str)),
            guarantee=claims.Guarantee(method.get("guarantee", str)),
            caveats=tuple(method.texts("caveats")),
        ),
        audit=claims.Audit(
            suite=audit.get("suite", str),
            verdict=audit.get("verdict", str),
            checks=tuple(_read_check(check) for check in audit.readers("checks")),
        ),
        received_at=canonical.parse_time(predicate.get("received_at", str)),
        completed_at=canonical.parse_time(predicate.get("completed_at", str)),
        files=tuple(
            claims.File(file.get("name", str), file.reader("digest").get("sha256", str)) for file in subject
        ),
        acceptance=_read_acceptance(predicate.reader("acceptance")) if predicate.has("acceptance") else None,
    )


def _read_acceptance(accepted: "_Reader") -> claims.Acceptance:
    return claims.Acceptance(*(accepted.get(name, str) for name in ("by", "reason", "at")))


def _read_check(check: "_Reader") -> claims.Check:
    return claims.Check(
        name=check.get("name", str),
        value=check.number("value"),
        low=check.number("low"),
        high=check.number("high"),
        threshold=check.number("threshold"),
        passed=check.get("passed", bool),
        detail=check.get("detail", str),
        role=claims.Role(check.get("role", str)) if check.has("role") else claims.Role.GATE,
    )


_Value = TypeVar("_Value")


class _Reader:
    """A JSON object read field by field, each with the type it must have."""

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise errors.MalformedCertificate("expected a JSON object")
        self._fields: dict[str, object] = value

    def get(self, name: str, kind: type[_Value]) -> _Value:
        value = self._fields.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise errors.MalformedCertificate(f"expected {name} to be {kind.__name__}")
        return value

    def has(self, name: str) -> bool:
        return name in self._fields

    def number(self, name: str) -> float | None:
        value = self._fields.get(name)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise errors.MalformedCertificate(f"expected {name} to be a number or null")

    def reader(self, name: str) -> "_Reader":
        return _Reader(self._fields.get(name))

    def readers(self, name: str) -> list["_Reader"]:
        return [_Reader(item) for item in self.get(name, list)]

    def texts(self, name: str) -> list[str]:
        items = self.get(name, list)
        if not all(isinstance(item, str) for item in items):
            raise errors.MalformedCertificate(f"expected {name} to be a list of text")
        return items
