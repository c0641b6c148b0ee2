"""A parameters record is described for the catalogue and read from a request, or refused with the reason."""

from dataclasses import dataclass

import pytest

from workers.unlearning.errors import ParametersError
from workers.unlearning.parameters import parameter, read, schema


@dataclass(frozen=True)
class Choice:
    share: float | None = parameter(None, "A share.", minimum=0.0, maximum=1.0)
    rounds: int = parameter(3, "How often.", minimum=1)
    is_careful: bool = parameter(True, "Whether to look twice.")


def test_the_schema_tells_type_default_bounds_and_meaning():
    described = schema(Choice)

    assert described["additionalProperties"] is False
    assert described["properties"] == {
        "share": {
            "type": ["number", "null"],
            "default": None,
            "description": "A share.",
            "minimum": 0.0,
            "maximum": 1.0,
        },
        "rounds": {"type": "integer", "default": 3, "description": "How often.", "minimum": 1},
        "is_careful": {"type": "boolean", "default": True, "description": "Whether to look twice."},
    }


def test_what_a_request_leaves_out_has_its_default():
    assert read(Choice, {"share": 1}) == Choice(share=1, rounds=3)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"shares": 0.5}, "'shares'"),
        ({"share": 1.5}, r"\[0.0, 1.0\]"),
        ({"share": float("nan")}, "finite number"),
        ({"share": "0.5"}, "finite number"),
        ({"share": True}, "finite number"),
        ({"rounds": 0}, "rounds must lie in"),
        ({"rounds": 2.0}, "integer"),
        ({"rounds": None}, "integer"),
        ({"is_careful": 1}, "boolean"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(given, reason):
    with pytest.raises(ParametersError, match=reason):
        read(Choice, given)
