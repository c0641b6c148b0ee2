"""A page keeps itself current at little cost: 304 while nothing changed, its live part when something did."""

import re

from starlette.testclient import TestClient

from service.core.access import service as access
from service.core.db.session import Sessions, transaction
from service.core.requests import runs
from service.dashboard.live import FRAGMENT_HEADER
from tests.fixtures.dashboard import Scene

FRAGMENT = {FRAGMENT_HEADER: "1"}


def version_of(page: str) -> str:
    found = re.search(r'data-version="([^"]+)"', page)
    assert found
    return found[1]


def test_poll_of_an_unchanged_page_is_empty(visitor: TestClient, scene: Scene) -> None:
    version = version_of(visitor.get("/dashboard/").text)

    answer = visitor.get("/dashboard/", headers={**FRAGMENT, "If-None-Match": f'"{version}"'})

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == f'"{version}"'


def test_poll_after_a_change_brings_the_live_part_alone(
    visitor: TestClient, scene: Scene, sessions: Sessions
) -> None:
    version = version_of(visitor.get("/dashboard/").text)
    with transaction(sessions) as session:
        runs.progress(session, scene.run_id, "forgetting", 0.87)

    answer = visitor.get("/dashboard/", headers={**FRAGMENT, "If-None-Match": f'"{version}"'})

    assert answer.status_code == 200
    assert answer.headers["etag"] != f'"{version}"'
    assert "87%" in answer.text and "<html" not in answer.text and "<h1>" in answer.text


def test_poll_after_a_change_elsewhere_is_empty_and_renews_the_version(
    visitor: TestClient, scene: Scene, sessions: Sessions
) -> None:
    version = version_of(visitor.get("/dashboard/methods").text)
    with transaction(sessions) as session:
        access.create_key(session, "unrelated", [])

    answer = visitor.get("/dashboard/methods", headers={**FRAGMENT, "If-None-Match": f'"{version}"'})

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] != f'"{version}"'


def test_poll_without_a_version_brings_the_live_part(visitor: TestClient, scene: Scene) -> None:
    assert visitor.get("/dashboard/models", headers=FRAGMENT).status_code == 200


def test_page_without_script_reloads_itself(visitor: TestClient, scene: Scene) -> None:
    assert '<noscript><meta http-equiv="refresh"' in visitor.get("/dashboard/").text
