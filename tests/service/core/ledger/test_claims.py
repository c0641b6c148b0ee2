"""The wording of a certificate: as strong as its guarantee and no stronger."""

import dataclasses
from datetime import UTC, datetime

import pytest

from service.core.ledger import claims, errors

CLAIM = claims.Claim(
    request="ab" * 32,
    model="digits",
    base_version=1,
    version=2,
    target=claims.Target("class", 108),
    method=claims.Method("one_shot", "1.0.0", {"strength": 0.5}, 7, claims.Guarantee.APPROXIMATE, ()),
    audit=claims.Audit("suite-1", "pass", ()),
    received_at=datetime(2026, 1, 31, 9, 5, tzinfo=UTC),
    completed_at=datetime(2026, 1, 31, 9, 6, tzinfo=UTC),
    files=(claims.File("model.safetensors", "cd" * 32),),
)


def claim_of(guarantee, **parameters):
    return dataclasses.replace(
        CLAIM, method=dataclasses.replace(CLAIM.method, guarantee=guarantee, parameters=parameters)
    )


def test_exact_says_retrained_without():
    assert "was retrained without the forgotten data" in claim_of(claims.Guarantee.EXACT).statement


def test_approximate_says_audited_and_not_proven():
    statement = claim_of(claims.Guarantee.APPROXIMATE).statement

    assert "audited, not proven erased" in statement
    assert "retrained" not in statement


def test_suppressed_says_that_only_the_output_is_masked():
    statement = claim_of(claims.Guarantee.SUPPRESSED).statement

    assert "output masked" in statement
    assert "may still hold" in statement


def test_certified_says_its_bounds():
    statement = claim_of(claims.Guarantee.CERTIFIED, epsilon=1.0, delta=1e-5).statement

    assert "epsilon 1 and delta 0.00001" in statement


@pytest.mark.parametrize("guarantee", [g for g in claims.Guarantee if g is not claims.Guarantee.EXACT])
def test_nothing_but_an_exact_result_is_called_erased_or_retrained(guarantee):
    statement = claim_of(guarantee, epsilon=1.0, delta=1e-5).statement

    assert "was retrained" not in statement
    assert "erased" not in statement.replace("not proven erased", "")


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_verdict_of_the_audit_is_told_whatever_it_was(verdict):
    audited = dataclasses.replace(CLAIM, audit=claims.Audit("suite-1", verdict, ()))

    assert f"Verdict of the audit: {verdict}." in audited.statement


@pytest.mark.parametrize(
    "parameters", [{}, {"epsilon": 1.0}, {"epsilon": 1.0, "delta": "small"}, {"epsilon": True, "delta": 0.1}]
)
def test_certified_without_its_bounds_is_refused(parameters):
    with pytest.raises(errors.CertificateRefused, match="epsilon"):
        claims.require_sound(claim_of(claims.Guarantee.CERTIFIED, **parameters))


@pytest.mark.parametrize("request_name", ["", "0b54-4f2c", "AB" * 32, "jane.doe@example.com"])
def test_request_that_is_no_pseudonym_is_refused_and_not_repeated(request_name):
    with pytest.raises(errors.CertificateRefused) as caught:
        claims.require_sound(dataclasses.replace(CLAIM, request=request_name))

    assert "jane" not in str(caught.value)


@pytest.mark.parametrize("files", [(), (claims.File("model.safetensors", "cd"),)])
def test_claim_without_digested_files_is_refused(files):
    with pytest.raises(errors.CertificateRefused, match="SHA-256"):
        claims.require_sound(dataclasses.replace(CLAIM, files=files))


ACCEPTED = claims.Acceptance("0199-officer", "risk_assessed", "2026-01-31T09:06:00Z")


def accepted_claim(guarantee, verdict):
    claim = dataclasses.replace(claim_of(guarantee), acceptance=ACCEPTED)
    return dataclasses.replace(claim, audit=claims.Audit("suite-1", verdict, ()))


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_what_a_person_accepted_says_who_and_what_the_audit_said(verdict):
    statement = accepted_claim(claims.Guarantee.APPROXIMATE, verdict).statement

    assert statement.endswith(
        f"Accepted by a person (0199-officer, risk_assessed) although the audit said {verdict}."
    )


def test_an_accepted_mask_is_called_one():
    statement = accepted_claim(claims.Guarantee.SUPPRESSED, "pass").statement

    assert statement.endswith(
        "Accepted by a person (0199-officer, risk_assessed) although it only masks an output."
    )


@pytest.mark.parametrize("guarantee", [claims.Guarantee.EXACT, claims.Guarantee.CERTIFIED])
def test_a_person_cannot_make_a_claim_stronger(guarantee):
    claim = dataclasses.replace(claim_of(guarantee, epsilon=1.0, delta=1e-5), acceptance=ACCEPTED)

    with pytest.raises(errors.CertificateRefused, match="no more than approximate"):
        claims.require_sound(claim)
