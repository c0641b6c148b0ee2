"""Error families: a stable code each, and whether trying again can help."""

import pytest

from service.core import errors

FAMILIES = errors.LetheError.__subclasses__()


def test_codes_are_distinct() -> None:
    codes = [family.code for family in FAMILIES]

    assert len(codes) == len(set(codes)) >= 10


def test_only_an_outage_and_a_crowd_are_worth_another_try() -> None:
    retryable = {family for family in FAMILIES if family.is_retryable}

    assert retryable == {errors.Unavailable, errors.Overloaded}


@pytest.mark.parametrize("family", FAMILIES)
def test_error_carries_message_code_and_details(family: type[errors.LetheError]) -> None:
    error = family("What came.", code="special", details=[{"pointer": "/a"}])

    assert (str(error), error.message, error.code) == ("What came.", "What came.", "special")
    assert error.details == ({"pointer": "/a"},)
    assert family("What came.").code == family.code
