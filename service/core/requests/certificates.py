"""Completing a request: its certificate and its ledger entry point at each other, in one transaction."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from service.core import clock
from service.core.ledger import certificate, claims
from service.core.ledger import repository as ledger
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.ledger.signing import Signer
from service.core.registry.models import Model
from service.core.registry.service import NamedFile
from service.core.requests import lifecycle
from service.core.requests.models import ForgetRequest, Run, TargetKind
from service.core.requests.states import Status


@dataclass(frozen=True)
class Signatory:
    """Who signs certificates, and under which key their requests are named.

    Attributes:
        signer: The ledger's key.
        pseudonymiser: Names the request in its certificate.
    """

    signer: Signer
    pseudonymiser: Pseudonymiser


def certify(
    session: Session,
    requests: Sequence[ForgetRequest],
    run: Run,
    model: Model,
    files: Sequence[NamedFile],
    guarantee: str,
    signatory: Signatory,
) -> None:
    """Complete the requests that a published run served, and keep a signed certificate of each.

    What they have in common is put into words once, and all rows go in one statement a table: a run may serve
    thousands.

    Raises:
        errors.Conflict: A request's state cannot become completed.
    """
    assert run.version is not None
    completed_at = clock.now()
    audit = _audit(run.deciding_rung["audit"])
    public = tuple(claims.File(file.name, file.stored.sha256) for file in files if file.is_public)
    acceptance = None if run.acceptance is None else claims.Acceptance(**run.acceptance)
    series: dict[str, certificate.Series] = {}
    envelopes: list[bytes] = []
    for request in requests:
        name = signatory.pseudonymiser.request(str(request.id))
        target = claims.Target(request.kind, request.num_samples)
        if request.kind not in series:
            claim = claims.Claim(
                request=name,
                model=model.name,
                base_version=run.base_version,
                version=run.version,
                target=target,
                method=_method(run, step_for(run.deciding_rung, request.kind), guarantee),
                audit=audit,
                received_at=request.received_at,
                completed_at=completed_at,
                files=public,
                acceptance=acceptance,
            )
            series[request.kind] = certificate.Series(claim, signatory.signer)
        envelopes.append(series[request.kind].sign(name, target, request.received_at))
    digests = [hashlib.sha256(envelope).hexdigest() for envelope in envelopes]
    entry_ids = lifecycle.move_all(
        session,
        requests,
        Status.COMPLETED,
        own_facts=[{"certificate_sha256": sha256} for sha256 in digests],
        also={"completed_at": completed_at},
        run=str(run.id),
        version=run.version,
        guarantee=guarantee,
    )
    ids = [request.id for request in requests]
    ledger.keep_certificates(session, zip(ids, entry_ids, envelopes, digests, strict=True))


def step_for(rung: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the step of a rung that served a request of this kind."""
    steps: Sequence[Mapping[str, Any]] = rung["steps"]
    wanted = "class" if kind == TargetKind.CLASS else "samples"
    return next((step for step in steps if step["kind"] == wanted), steps[0])


def _method(run: Run, step: Mapping[str, Any], guarantee: str) -> claims.Method:
    return claims.Method(
        name=step["method"],
        version=step["method_version"],
        parameters=step["parameters"],
        seed=run.seed,
        guarantee=claims.Guarantee(guarantee),
        caveats=tuple(step["caveats"]),
    )


def _audit(audit: Mapping[str, Any]) -> claims.Audit:
    return claims.Audit(
        suite=audit["suite"],
        verdict=audit["verdict"],
        checks=tuple(
            claims.Check(
                name=check["name"],
                value=check["value"],
                low=check["interval"][0] if check["interval"] else None,
                high=check["interval"][1] if check["interval"] else None,
                threshold=check["threshold"],
                passed=check["passed"],
                detail=check["detail"],
                role=_role(check),
            )
            for check in audit["checks"]
        ),
    )


def _role(check: Mapping[str, Any]) -> claims.Role:
    if not check.get("is_gate", True):
        return claims.Role.SHOWN
    return claims.Role.GATE if check.get("is_decided", True) else claims.Role.UNDECIDED
