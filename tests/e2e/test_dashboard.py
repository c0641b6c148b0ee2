"""A person with a real browser: signs in, watches a request change by itself, and reads what was found."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, ViewportSize, expect

from service.core.db.session import Sessions, transaction
from service.core.requests import runs
from tests.fixtures.audit_reports import audit_report, rung
from tests.fixtures.dashboard import ADMIN_KEY, Scene

PHONE = ViewportSize(width=390, height=844)
CHANGE_MS = 8000


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page at desktop width whose console must stay silent."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/")
    page.get_by_label("API key").fill(ADMIN_KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Requests")


def is_poll(request: Request) -> bool:
    return "lethe-fragment" in request.headers


def pretend_hidden(page: Page, is_hidden: bool) -> None:
    page.evaluate(
        """(value) => {
            Object.defineProperty(document, "hidden", { value, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )


def test_request_changes_before_the_eyes_of_its_reader(
    page: Page, dashboard_url: str, scene: Scene, sessions: Sessions
) -> None:
    sign_in(page, dashboard_url)
    assert ADMIN_KEY not in page.url
    row = page.locator(f"#r-{scene['running']}")
    expect(row).to_contain_text("Running")
    link = row.get_by_role("link", name="Classes 0 and 1")
    link.focus()
    page.evaluate("scrollTo(0, 200)")
    before = page.evaluate("scrollY")

    with transaction(sessions) as session:
        runs.begin_audit(session, scene.lease, scene.run_id, rung("class", "one_shot"))
        runs.progress(session, scene.run_id, "auditing", 0.25)

    expect(row).to_contain_text("Auditing", timeout=CHANGE_MS)
    expect(row).to_contain_text("25%")
    expect(link).to_be_focused()
    assert page.evaluate("scrollY") == before

    link.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Forget classes 0 and 1 in digits")
    expect(page.get_by_role("status").first).to_have_text(re.compile("Auditing"))
    expect(page.get_by_text("Audit started")).to_be_visible()


def test_what_a_reader_chose_and_opened_stays(
    page: Page, dashboard_url: str, scene: Scene, sessions: Sessions
) -> None:
    sign_in(page, dashboard_url)
    page.get_by_label("Status", exact=True).select_option("completed")
    with transaction(sessions) as session:
        runs.begin_audit(session, scene.lease, scene.run_id, rung("class", "one_shot"))
    expect(page.locator(f"#r-{scene['running']}")).to_contain_text("Auditing", timeout=CHANGE_MS)
    assert page.get_by_label("Status", exact=True).input_value() == "completed"

    page.goto(f"{dashboard_url}/requests/{scene['running']}")
    page.get_by_text("Parameters").click()
    with transaction(sessions) as session:
        runs.note_audit(session, scene.lease, scene.run_id, audit_report([0, 1], "pass"))

    expect(page.get_by_role("heading", name="Before and after")).to_be_visible(timeout=CHANGE_MS)
    expect(page.get_by_text("strength")).to_be_visible()


def test_idle_page_is_answered_without_a_body(page: Page, dashboard_url: str, scene: Scene) -> None:
    sign_in(page, dashboard_url)

    with page.expect_response(lambda answer: is_poll(answer.request), timeout=CHANGE_MS) as polled:
        pass

    assert polled.value.status == 304


def test_hidden_page_asks_for_nothing_until_it_is_seen(page: Page, dashboard_url: str, scene: Scene) -> None:
    sign_in(page, dashboard_url)
    polls: list[Request] = []
    page.on("request", lambda request: polls.append(request) if is_poll(request) else None)
    pretend_hidden(page, True)
    num_before = len(polls)

    page.wait_for_timeout(2500)
    assert len(polls) == num_before

    with page.expect_request(is_poll, timeout=CHANGE_MS):
        pretend_hidden(page, False)


def test_no_page_is_wider_than_a_phone(page: Page, dashboard_url: str, scene: Scene) -> None:
    page.set_viewport_size(PHONE)
    sign_in(page, dashboard_url)
    addresses = ["/", "/models", "/models/digits", "/methods"]
    addresses += [
        f"/requests/{scene[name]}" for name in ("completed", "by_retraining", "needs_review", "failed")
    ]
    addresses += [
        f"/requests/{scene[name]}/report" for name in ("completed", "by_retraining", "needs_review")
    ]

    for address in addresses:
        page.goto(f"{dashboard_url}{address}")
        excess = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert excess == 0, address
        assert page.locator("h1").count() == 1


def test_drawings_stand_inside_their_page_and_their_text_can_be_read(
    page: Page, dashboard_url: str, scene: Scene
) -> None:
    page.set_viewport_size(PHONE)
    sign_in(page, dashboard_url)

    for name, sheet in (("completed", ""), ("by_retraining", ""), ("completed", "/report")):
        page.goto(f"{dashboard_url}/requests/{scene[name]}{sheet}")
        expect(page.get_by_role("img", name="Accuracy of each class")).to_be_visible()
        texts = page.locator("svg.drawing text").evaluate_all(
            """(all) => all.map((one) => {
                const { left, right } = one.getBoundingClientRect();
                return { left, right, size: parseFloat(getComputedStyle(one).fontSize) };
            })"""
        )
        assert len(texts) > 20
        for text in texts:
            assert text["left"] >= 0 and text["right"] <= PHONE["width"], text
            assert text["size"] >= 12, text


def test_everything_can_be_reached_and_seen_by_keyboard(page: Page, dashboard_url: str, scene: Scene) -> None:
    sign_in(page, dashboard_url)
    page.goto(f"{dashboard_url}/")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    names = []
    for _ in range(14):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", names[-1]
    assert {"Requests", "Models", "Methods", "Sign out", "status", "model", "overdue", "Filter"} <= set(names)


def test_signing_out_ends_it(page: Page, dashboard_url: str, scene: Scene) -> None:
    sign_in(page, dashboard_url)

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.goto(f"{dashboard_url}/models")

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
