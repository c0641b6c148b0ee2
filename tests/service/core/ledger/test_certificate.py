"""Certificates: what is signed comes back, and nothing else is accepted."""

import copy
import dataclasses
import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from service.core.ledger import canonical, certificate, claims, dsse, errors, signing

SIGNER = signing.Signer("lethe.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
CHECKS = (
    claims.Check("membership_auc", 0.512, 0.47, 0.55, 0.6, True, "loss attack, 540 samples"),
    claims.Check("no_op", 1280.0, None, None, 1.0, True, "parameters changed"),
    claims.Check("not_measured", None, None, None, None, False, ""),
    claims.Check("few_samples", 0.5, 0.0, 1.0, 0.6, False, "", claims.Role.UNDECIDED),
    claims.Check("as_papers_do", 0.5, 0.0, 1.0, 0.6, False, "", claims.Role.SHOWN),
)
CLAIM = claims.Claim(
    request="ab" * 32,
    model="digits",
    base_version=1,
    version=2,
    target=claims.Target("class", 108),
    method=claims.Method(
        name="one_shot",
        version="1.0.0",
        parameters={"strength": 0.5, "layers": ["conv1", "fc"], "sign": -1},
        seed=2**63 - 1,
        guarantee=claims.Guarantee.APPROXIMATE,
        caveats=("Needs codes.", "Déjà vu."),
    ),
    audit=claims.Audit("suite-1", "pass", CHECKS),
    received_at=datetime(2026, 1, 31, 9, 5, tzinfo=UTC),
    completed_at=datetime(2026, 1, 31, 9, 6, 30, 250, tzinfo=UTC),
    files=(claims.File("config.json", "ef" * 32), claims.File("model.safetensors", "cd" * 32)),
)


def signed_statement(statement):
    """An envelope by the right key around whatever statement."""
    return dsse.sign(certificate.PAYLOAD_TYPE, canonical.json_bytes(statement), SIGNER)


def changed(*path, value):
    """The statement of CLAIM with one field replaced."""
    statement = json.loads(canonical.json_bytes(certificate.build(CLAIM)))
    place = statement
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return statement


def test_claim_survives_its_statement():
    assert certificate.parse(json.loads(canonical.json_bytes(certificate.build(CLAIM)))) == CLAIM


def test_claim_survives_its_certificate():
    data = certificate.sign(CLAIM, SIGNER)

    assert certificate.verify(data, SIGNER.verifier) == CLAIM
    assert certificate.sign(CLAIM, SIGNER) == data


def test_a_series_signs_each_request_as_if_it_were_alone():
    target, received_at = claims.Target("class", 7), datetime(2026, 2, 1, tzinfo=UTC)
    alone = dataclasses.replace(CLAIM, request="cd" * 32, target=target, received_at=received_at)

    data = certificate.Series(CLAIM, SIGNER).sign("cd" * 32, target, received_at)

    assert certificate.verify(data, SIGNER.verifier) == alone
    assert data == dsse.sign(certificate.PAYLOAD_TYPE, canonical.json_bytes(certificate.build(alone)), SIGNER)


def test_a_series_signs_for_no_request_by_its_own_name():
    series = certificate.Series(CLAIM, SIGNER)

    with pytest.raises(errors.CertificateRefused):
        series.sign("request-7", CLAIM.target, CLAIM.received_at)


@given(
    st.sampled_from(claims.Guarantee),
    st.integers(0, 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
)
def test_any_sound_claim_survives_its_certificate(guarantee, seed, value, text):
    parameters = {"epsilon": value, "delta": 1e-5, "note": text}
    method = dataclasses.replace(CLAIM.method, guarantee=guarantee, seed=seed, parameters=parameters)
    claim = dataclasses.replace(CLAIM, method=method, model=text)

    assert certificate.verify(certificate.sign(claim, SIGNER), SIGNER.verifier) == claim


def test_statement_is_an_in_toto_statement_about_the_new_files():
    statement = certificate.build(CLAIM)

    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://lethe.dev/erasure/v1"
    assert statement["subject"] == [
        {"name": "config.json", "digest": {"sha256": "ef" * 32}},
        {"name": "model.safetensors", "digest": {"sha256": "cd" * 32}},
    ]


def test_certificate_by_another_key_is_refused():
    other = signing.Signer(SIGNER.name, Ed25519PrivateKey.generate())

    with pytest.raises(errors.UnknownSigner):
        certificate.verify(certificate.sign(CLAIM, other), SIGNER.verifier)


def test_wording_stronger_than_the_guarantee_is_refused_even_when_signed():
    exact = dataclasses.replace(
        CLAIM, method=dataclasses.replace(CLAIM.method, guarantee=claims.Guarantee.EXACT)
    )
    lie = changed("predicate", "statement", value=exact.statement)

    with pytest.raises(errors.MalformedCertificate, match="approximate"):
        certificate.verify(signed_statement(lie), SIGNER.verifier)


@pytest.mark.parametrize(
    "statement",
    [
        1,
        [],
        {},
        changed("_type", value="https://in-toto.io/Statement/v0.1"),
        changed("predicateType", value="https://lethe.dev/erasure/v2"),
        changed("predicate", value=[]),
        changed("subject", value=[]),
        changed("subject", value=[1]),
        changed("subject", 0, "digest", value={"sha512": "ab" * 64}),
        changed("subject", 0, "digest", value={"sha256": "ab" * 32, "md5": "00"}),
        changed("extra", value=1),
        changed("predicate", "extra", value=1),
        changed("predicate", "audit", "checks", 0, "extra", value=1),
        changed("predicate", "request", value="train/00017"),
        changed("predicate", "version", value="2"),
        changed("predicate", "version", value=True),
        changed("predicate", "base_version", value=True),
        changed("predicate", "target", "num_samples", value=False),
        changed("predicate", "version", value=2.5),
        changed("predicate", "method", "seed", value=7),
        changed("predicate", "method", "seed", value="07"),
        changed("predicate", "method", "seed", value="seven"),
        changed("predicate", "method", "guarantee", value="perfect"),
        changed("predicate", "method", "caveats", value=[1]),
        changed("predicate", "method", "parameters", value=[]),
        changed("predicate", "audit", "checks", 0, "value", value="0.5"),
        changed("predicate", "audit", "checks", 0, "passed", value=1),
        changed("predicate", "received_at", value="2026-01-31T09:05:00Z"),
        changed("predicate", "received_at", value=0),
    ],
)
def test_other_statements_are_refused_even_when_signed(statement):
    with pytest.raises(errors.MalformedCertificate):
        certificate.verify(signed_statement(statement), SIGNER.verifier)


def test_every_field_of_the_statement_is_required():
    whole = changed("_type", value=certificate.STATEMENT_TYPE)

    for path in field_paths(whole):
        statement = copy.deepcopy(whole)
        place = statement
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

        if path[:3] == ("predicate", "method", "parameters") and len(path) > 3:
            continue  # which parameters there are is the method's to say
        if path[-1] == "role":
            continue  # without one a check is a gate: another statement, which the signature does not fit
        with pytest.raises(errors.MalformedCertificate):
            certificate.parse(statement)


def test_payload_in_another_spelling_is_refused_even_when_signed():
    payload = json.dumps(certificate.build(CLAIM), default=str).encode()

    with pytest.raises(errors.MalformedCertificate, match="canonical"):
        certificate.verify(dsse.sign(certificate.PAYLOAD_TYPE, payload, SIGNER), SIGNER.verifier)


@pytest.mark.parametrize("value", [float("nan"), 2**53, "\ud800", object()])
def test_value_that_cannot_be_written_is_refused(value):
    method = dataclasses.replace(CLAIM.method, parameters={"strength": value})

    with pytest.raises(errors.CertificateRefused):
        certificate.sign(dataclasses.replace(CLAIM, method=method), SIGNER)


def field_paths(value, path=()):
    """The path of every key of every object in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(value, dict):
            yield (*path, key)
        yield from field_paths(item, (*path, key))


ACCEPTED = dataclasses.replace(
    CLAIM, acceptance=claims.Acceptance("0199", "risk_assessed", "2026-01-31T09:06:00Z")
)


def test_claim_that_a_person_accepted_survives_its_certificate():
    assert certificate.verify(certificate.sign(ACCEPTED, SIGNER), SIGNER.verifier) == ACCEPTED


def test_certificate_that_hides_its_acceptance_is_refused_even_when_signed():
    statement = certificate.build(ACCEPTED)
    del statement["predicate"]["acceptance"]

    with pytest.raises(errors.MalformedCertificate):
        certificate.verify(signed_statement(statement), SIGNER.verifier)
