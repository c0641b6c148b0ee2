"""What holds for every page: nothing inline or from elsewhere, nothing that can inject, nobody named."""

import re
from html.parser import HTMLParser

from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.registry import service as registry
from tests.fixtures.dashboard import Scene
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import registration

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


class Parts(HTMLParser):
    """Collects every element of a page with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def addresses(scene: Scene) -> list[str]:
    fixed = ["/", "/?status=completed", "/models", "/models/digits", "/methods", "/login"]
    return [*fixed, *(f"/requests/{request_id}" for request_id in scene.requests.values())]


def test_pages_hold_nothing_inline_and_nothing_from_elsewhere(visitor: TestClient, scene: Scene) -> None:
    for address in addresses(scene):
        answer = visitor.get(f"/dashboard{address}")
        assert answer.status_code == 200, address
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "private, no-store"
        for tag, attributes in Parts(answer.text).elements:
            assert "style" not in attributes and tag != "style", address
            assert not [name for name in attributes if name.startswith("on")], address
            assert tag != "script" or (attributes.get("src") or "").startswith("/dashboard/static/")
            for name in ("src", "href", "action"):
                assert re.match(r"[/#]|$", attributes.get(name) or ""), (address, tag, attributes)


def test_pages_are_built_for_everybody(visitor: TestClient, scene: Scene) -> None:
    for address in addresses(scene):
        elements = Parts(visitor.get(f"/dashboard{address}").text).elements
        tags = [tag for tag, _ in elements]
        ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
        labelled = {attributes.get("for") for tag, attributes in elements if tag == "label"}
        fields = [
            attributes.get("id")
            for tag, attributes in elements
            if tag in ("input", "select") and attributes.get("type") != "hidden"
        ]
        assert tags.count("h1") == 1 and tags.count("main") == 1, address
        assert len(ids) == len(set(ids)), address
        assert set(fields) <= labelled, address
        assert tags.count("table") == tags.count("caption"), address
        for tag, attributes in elements:
            if tag == "svg":
                assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label"), address
            if (reference := attributes.get("aria-labelledby")) is not None:
                assert reference in ids, (address, reference)


def test_no_page_names_a_sample_or_a_person(visitor: TestClient, scene: Scene) -> None:
    named = {row.sample_id for row in scene.digits.rows} | {
        row.subject_id or "-" for row in scene.digits.rows
    }

    for address in addresses(scene):
        text = visitor.get(f"/dashboard{address}").text
        assert not [one for one in named - {"-"} if one in text], address


def test_hostile_model_name_is_only_text(visitor: TestClient, sessions: Sessions) -> None:
    with transaction(sessions) as session:
        registry.register(session, registration(HOSTILE, HOSTILE))

    listed = visitor.get("/dashboard/models")
    address = next(
        attributes["href"]
        for tag, attributes in Parts(listed.text).elements
        if tag == "a" and "alert" in (attributes.get("href") or "")
    )
    pages = [listed, visitor.get("/dashboard/"), visitor.get(str(address))]

    for page in pages:
        assert page.status_code == 200
        assert "alert(1)" in page.text
        assert "<script>alert" not in page.text and "<img" not in page.text


def test_what_does_not_exist_is_a_page_too(visitor: TestClient, kernel: Kernel) -> None:
    nobody = "00000000-0000-7000-8000-000000000000"
    for address in (
        "/nothing",
        "/models/none",
        f"/requests/{nobody}",
        "/requests/x",
        f"/requests/{nobody}/certificate",
    ):
        answer = visitor.get(f"/dashboard{address}")
        assert answer.status_code == 404, address
        assert "<h1>Not found</h1>" in answer.text
        assert answer.headers["content-security-policy"]


def test_assets_are_kept_and_asked_about(stranger: TestClient) -> None:
    first = stranger.get("/dashboard/static/base.css")
    again = stranger.get("/dashboard/static/base.css", headers={"If-None-Match": first.headers["etag"]})

    assert (first.status_code, again.status_code) == (200, 304)
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-cache"
    assert stranger.get("/dashboard/static/..%2Frouter.py").status_code == 404


def test_whole_service_has_the_dashboard_inside(api: TestClient) -> None:
    page = api.get("/dashboard")

    assert page.url.path == "/dashboard/"
    assert "<h1>Requests</h1>" in page.text
    assert api.get("/dashboard/nothing").headers["content-type"].startswith("text/html")
    assert not [path for path in api.get("/openapi.json").json()["paths"] if "dashboard" in path]


def test_an_experimental_method_stands_apart_with_its_reason_however_much_it_promises(
    visitor: TestClient, scene: Scene
) -> None:
    page = visitor.get("/dashboard/methods").text

    fit, apart = page.split('<details class="experimental">')
    assert all(f"<code>{name}</code>" in fit for name in ("retrain", "ssd", "one_shot"))
    assert "<code>bold</code>" not in fit
    assert "1 experimental method: none runs" in apart and "Nobody has tried it." in apart
