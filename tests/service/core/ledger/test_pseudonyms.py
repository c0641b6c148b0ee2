"""Pseudonyms: keyed, separated, and never leaking what they stand for."""

import hashlib
import hmac
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.ledger import errors, pseudonyms

KEY = bytes(range(32))
WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)


def pseudonymiser(key=KEY):
    return pseudonyms.Pseudonymiser(key)


def test_pseudonym_is_the_hmac_of_length_prefixed_parts():
    message = b"sample\x00" + b"\x00\x00\x00\x06digits" + b"\x00\x00\x00\x0btrain/00017"

    expected = hmac.new(KEY, message, hashlib.sha256).hexdigest()

    assert pseudonymiser().sample("digits", "train/00017") == expected


@given(st.lists(st.tuples(WORDS, WORDS), min_size=2, max_size=2, unique=True))
def test_different_inputs_have_different_pseudonyms(pairs):
    (one, two) = (pseudonymiser().sample(*pair) for pair in pairs)

    assert one != two


def test_boundary_between_dataset_and_sample_matters():
    assert pseudonymiser().sample("a", "bc") != pseudonymiser().sample("ab", "c")
    assert pseudonymiser().sample("a\x00b", "c") != pseudonymiser().sample("a", "b\x00c")


def test_sample_subject_and_request_never_meet():
    named = pseudonymiser()

    assert len({named.sample("d", "x"), named.subject("d", "x"), named.request("x")}) == 3


def test_two_requests_have_two_pseudonyms():
    assert pseudonymiser().request("one") != pseudonymiser().request("two")


@pytest.mark.parametrize("name", ["request", "sample", "subject"])
def test_lone_surrogate_is_refused_wherever_it_comes(name):
    arguments = ("\ud800",) if name == "request" else ("digits", "\ud800")

    with pytest.raises(errors.PseudonymError):
        getattr(pseudonymiser(), name)(*arguments)


def test_another_key_gives_another_pseudonym():
    assert pseudonymiser().request("r") != pseudonymiser(bytes(32)).request("r")


@given(st.lists(WORDS, max_size=5))
def test_bulk_equals_one_by_one(sample_ids):
    named = pseudonymiser()

    assert named.samples("digits", sample_ids) == [named.sample("digits", one) for one in sample_ids]
    assert named.subjects("digits", sample_ids) == [named.subject("digits", one) for one in sample_ids]


def test_identifiers_are_taken_as_they_are():
    named = pseudonymiser()

    assert named.sample("d", "é") != named.sample("d", "e\u0301")
    assert named.sample("d", "A") != named.sample("d", "a")


def test_lone_surrogate_is_refused_by_position_and_leaves_no_trace():
    with pytest.raises(errors.PseudonymError, match="position 2") as caught:
        pseudonymiser().samples("digits", ["a", "b", "jane.doe \udcff"])

    assert caught.value.position == 2
    assert "jane" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("length", [0, 31, 33])
def test_key_of_another_length_is_refused(length):
    with pytest.raises(errors.MalformedKey):
        pseudonymiser(bytes(length))


def test_a_million_samples_take_seconds():
    sample_ids = [f"train/{i:05d}" for i in range(100_000)]

    start = time.perf_counter()
    found = pseudonymiser().samples("digits", sample_ids)

    assert len(set(found)) == len(sample_ids)
    assert time.perf_counter() - start < 1.0  # measured 0.17 s; ten times that for a million
