"""Canonical JSON, strict base64 and the one spelling of times."""

import math
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from types import MappingProxyType

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from service.core.ledger import canonical, errors

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=8,
)


class Colour(StrEnum):
    RED = "red"


@given(JSON_VALUES)
def test_every_value_is_spelled_as_rfc_8785_says(value):
    assert canonical.json_bytes(value) == rfc8785.dumps(value)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=6))
def test_an_object_of_spelled_members_is_spelled_like_the_whole(value):
    members = {name: canonical.json_bytes(item) for name, item in value.items()}

    assert canonical.ObjectForm(value).of(members) == canonical.json_bytes(value)


def test_members_are_ordered_by_their_utf_16_units():
    members = {"\U0001f600": b"1", "\ufb01": b"2", "a": b"3"}

    assert canonical.ObjectForm(members).of(members) == '{"a":3,"\U0001f600":1,"\ufb01":2}'.encode()


def test_a_member_whose_name_has_no_spelling_is_refused():
    with pytest.raises(errors.NotCanonical):
        canonical.ObjectForm(["\ud800"])


@pytest.mark.parametrize("value", [2**53, -(2**53), [2**53], {"a": "\ud800"}, {"\udfff": 1}, [float("nan")]])
def test_what_has_no_spelling_is_refused_wherever_it_stands(value):
    with pytest.raises(errors.NotCanonical):
        canonical.json_bytes({"deep": [value]})


def test_an_enumeration_of_words_is_spelled_as_its_word():
    assert canonical.json_bytes({"a": Colour.RED, "b": [True, None, 1]}) == b'{"a":"red","b":[true,null,1]}'


@given(JSON_VALUES)
def test_value_survives_its_canonical_spelling(value):
    data = canonical.json_bytes(value)

    assert canonical.parse_json(data) == value
    assert canonical.json_bytes(canonical.parse_json(data)) == data


def test_whole_float_beyond_the_integers_survives():
    assert canonical.json_bytes(2.0**60) == b"1152921504606847000"
    assert canonical.parse_json(b"1152921504606847000") == 2.0**60
    with pytest.raises(errors.NotCanonical):
        canonical.parse_json(b"1152921504606846976")


def test_keys_are_sorted_and_spaces_left_out():
    assert (
        canonical.json_bytes({"b": 1.0, "a": [1e21, "€"], "B": None})
        == b'{"B":null,"a":[1e+21,"\xe2\x82\xac"],"b":1}'
    )


def test_any_mapping_and_any_tuple_is_written():
    assert canonical.json_bytes(MappingProxyType({"a": (1, MappingProxyType({}))})) == b'{"a":[1,{}]}'


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        2**53,
        "\ud800",
        {"\ud800": 1},
        {1: 2},
        {1, 2},
        b"bytes",
        datetime(2026, 1, 1, tzinfo=UTC),
    ],
)
def test_value_without_a_canonical_form_is_refused(value):
    with pytest.raises(errors.NotCanonical):
        canonical.json_bytes([value])


def test_nesting_too_deep_is_refused_both_ways():
    value = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(errors.NotCanonical, match="deep"):
        canonical.json_bytes(value)
    with pytest.raises(errors.NotCanonical, match="deep"):
        canonical.parse_json(b"[" * 100_000)


def test_refusal_keeps_nothing_of_the_text_it_refuses():
    with pytest.raises(errors.NotCanonical) as caught:
        canonical.json_bytes({"name": "jane.doe@example.com \ud800"})

    assert "jane" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'"\\u0061"',
        b"1.0",
        b"1 ",
        b"NaN",
        b"",
        b"\xff",
        b"1" * 5000,
    ],
)
def test_other_spellings_are_refused(data):
    with pytest.raises(errors.NotCanonical):
        canonical.parse_json(data)


@given(st.binary())
def test_bytes_survive_base64(data):
    assert canonical.parse_base64(canonical.base64_text(data)) == data


@pytest.mark.parametrize("text", ["YQ", "YR==", "YQ==\n", "Y Q==", "-_-_", "é", "===="])
def test_other_base64_is_refused(text):
    assert canonical.parse_base64(text) is None


def test_time_is_spelled_in_utc_with_microseconds():
    at = datetime(2026, 1, 31, 10, 5, tzinfo=timezone(timedelta(hours=1)))

    assert canonical.time_text(at) == "2026-01-31T09:05:00.000000Z"
    assert canonical.parse_time("2026-01-31T09:05:00.000000Z") == at


def test_time_without_zone_is_refused():
    with pytest.raises(errors.NotCanonical, match="time zone"):
        canonical.time_text(datetime(2026, 1, 31))


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T09:05:00Z", "2026-01-31T09:05:00.000000+00:00", "2026-01-31", "2026-02-31T00:00:00.000000Z"],
)
def test_other_spellings_of_a_time_are_refused(text):
    with pytest.raises(errors.NotCanonical):
        canonical.parse_time(text)
