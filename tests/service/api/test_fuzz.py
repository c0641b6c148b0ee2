"""Whatever is sent, the answer is a problem document and never a failure of ours."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.api.errors import MEDIA_TYPE

text = st.text(st.characters(), max_size=8)  # lone surrogates and NUL included
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
FIELDS = {
    "/v1/forget-requests": ["model", "target", "method", "submitted_at", "ground", "callback_url"],
    "/v1/models": ["name", "architecture", "dataset", "training", "policy"],
    "/v1/api-keys": ["name", "scopes"],
}
SOUND: dict[str, dict[str, Any]] = {
    "/v1/forget-requests": {"model": "m", "target": {"kind": "class", "classes": [1]}},
    "/v1/models": {
        "name": "m",
        "architecture": {"factory": "torchvision.models:resnet18"},
        "dataset": {"source": "digits"},
    },
    "/v1/api-keys": {"name": "n", "scopes": ["admin"]},
}


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, Any]:
    """A route and a body that is sound but for some of its fields."""
    path = draw(st.sampled_from(sorted(SOUND)))
    broken = draw(st.dictionaries(st.sampled_from(FIELDS[path]) | text, values, min_size=1, max_size=3))
    return path, {**SOUND[path], **broken}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies())
def test_no_body_makes_the_service_fail(lone_api: TestClient, sent: tuple[str, Any]):
    path, body = sent

    answer = lone_api.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, 422, 503), answer.text  # 503: sound, but there is no database here
    assert answer.headers["Content-Type"] == MEDIA_TYPE


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40))
def test_no_bytes_make_the_service_fail(lone_api: TestClient, sent: bytes):
    answer = lone_api.post("/v1/forget-requests", content=sent, headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, 422), answer.text
