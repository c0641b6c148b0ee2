"""One request's page: its standing, its story, what was measured, and the evidence to take away."""

import html
import re

from starlette.testclient import TestClient

from service.core.db.session import transaction
from service.core.ledger import certificate, proof
from service.core.ledger import repository as ledger
from service.core.ledger.signing import Signer
from service.core.requests import runs
from tests.fixtures.dashboard import Scene
from tests.fixtures.forgetting import Kernel, classes
from tests.fixtures.registry import ReadyModel


def page_of(visitor: TestClient, scene: Scene, name: str) -> str:
    answer = visitor.get(f"/dashboard/requests/{scene[name]}")
    assert answer.status_code == 200
    return html.unescape(answer.text)


def test_completed_request_says_what_was_shown_and_no_more(visitor: TestClient, scene: Scene) -> None:
    page = page_of(visitor, scene, "completed")

    assert "<h1>Forget class 3 in digits</h1>" in page
    assert "Changed to forget, then audited. Not proven erased." in page
    assert page.count("erased") == page.count("Not proven erased")
    assert "What to know of one_shot." in page


def test_completed_request_shows_the_audit(visitor: TestClient, scene: Scene) -> None:
    page = page_of(visitor, scene, "completed")

    for words in ("An attacker cannot tell what was forgotten", "0.5312", "0.4471 to 0.6153", "0.45 to 0.55"):
        assert words in page
    assert "class 3, forgotten: 99.1% before, 0.0% after, on 36 samples" in page
    assert "To forget" in page and "log odds" in page.lower()
    assert page.count('class="result"') == 8


def test_every_rung_is_told_and_the_last_one_decides(visitor: TestClient, scene: Scene) -> None:
    page = page_of(visitor, scene, "by_retraining")

    assert page.index("Rung 2 of 2: Exact retraining") < page.index(
        "Rung 1 of 2: Selective synaptic dampening"
    )
    assert "Retrained without the forgotten data." in page
    assert "the audit said refused, next rung" in page


def test_numbers_of_a_refused_rung_are_called_so(visitor: TestClient, scene: Scene) -> None:
    page = page_of(visitor, scene, "needs_review")

    assert "These are the numbers of rung 1" in page and "was not published" in page
    assert "A person decides" in page
    assert "Evidence" not in page


def test_rung_without_a_candidate_tells_why(visitor: TestClient, kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask(digits.name, classes(1))
    lease, assignment = kernel.begin(digits)
    with transaction(kernel.sessions) as session:
        runs.note_failed_rung(session, lease, assignment.run_id, ["one_shot"], "missing_need", "no <codes>")

    page = visitor.get(f"/dashboard/requests/{request.id}").text

    assert "No candidate" in page and "no &lt;codes&gt;" in page


def test_story_is_that_of_the_ledger(visitor: TestClient, scene: Scene) -> None:
    page = page_of(visitor, scene, "completed")
    story = page[page.index('class="timeline"') :]

    places = [
        story.index(word) for word in ("Received", "Queued", "Run started", "Audit started", "Completed")
    ]
    assert places == sorted(places)
    assert "class 3 · by caller" in story and "version 2, approximate" in story


def test_request_that_waits_shows_no_numbers(visitor: TestClient, scene: Scene) -> None:
    page = page_of(visitor, scene, "queued")

    assert "There are no measurements yet" in page
    assert "one person" in page and "Before and after" not in page


def test_request_that_was_done_before_says_so(visitor: TestClient, scene: Scene) -> None:
    assert "had been forgotten before" in page_of(visitor, scene, "done_before")


def test_evidence_can_be_taken_away_and_checked(
    visitor: TestClient, kernel: Kernel, signer: Signer, digits: ReadyModel
) -> None:
    request = kernel.ask(digits.name, classes(1))
    kernel.serve(digits)
    address = f"/dashboard/requests/{request.id}"
    assert "The proof follows" in visitor.get(address).text
    assert visitor.get(f"{address}/proof.tlog-proof").status_code == 404

    with transaction(kernel.sessions) as session:
        ledger.sequence(session, signer)
    signed = visitor.get(f"{address}/certificate.dsse.json")
    proven = visitor.get(f"{address}/proof.tlog-proof")
    sheet = visitor.get(f"{address}/certificate")

    assert certificate.verify(signed.content, signer.verifier).version == 2
    assert proof.parse(proven.content).to_bytes() == proven.content
    assert "attachment" in signed.headers["content-disposition"]
    assert "audited, not proven erased" in sheet.text
    assert "script-src" not in sheet.headers["content-security-policy"]


def test_report_is_drawn_on_the_page_and_can_be_taken_away(visitor: TestClient, scene: Scene) -> None:
    for name, plots in (
        ("completed", ["scores", "classes", "resurrection"]),
        ("by_retraining", ["scores", "reference", "classes"]),
        ("needs_review", ["scores", "classes"]),
    ):
        address = f"/dashboard/requests/{scene[name]}"
        page = visitor.get(address).text
        sheet = visitor.get(f"{address}/report")
        file = visitor.get(f"{address}/audit.json")

        assert re.findall(r'<h2 id="plot-(\w+)">', page) == plots
        assert f'href="{address}/report"' in page and f'href="{address}/audit.json"' in page
        assert sheet.text.count("<figure>") == len(plots)
        assert "script-src" not in sheet.headers["content-security-policy"]
        assert "attachment" in file.headers["content-disposition"]
        assert file.json()["statement"] in html.unescape(sheet.text)


def test_request_without_an_audit_has_no_report(visitor: TestClient, scene: Scene) -> None:
    address = f"/dashboard/requests/{scene['queued']}"

    assert "/report" not in visitor.get(address).text
    assert visitor.get(f"{address}/report").status_code == 404
    assert visitor.get(f"{address}/audit.json").status_code == 404


def test_title_lists_the_classes(visitor: TestClient, kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask(digits.name, classes(0, 2))

    assert (
        "<h1>Forget classes 0 and 2 in digits</h1>" in visitor.get(f"/dashboard/requests/{request.id}").text
    )


def test_what_needs_review_names_each_choice_with_its_command(
    visitor: TestClient, kernel: Kernel, digits: ReadyModel
) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)

    page = html.unescape(visitor.get(f"/dashboard/requests/{request.id}").text)

    for choice in ("accept", "approve", "deny", "extend"):
        assert f"lethe decide {request.id} {choice} --reason CODE" in page
    assert "Publish the candidate of rung 1, whose audit said fail, as approximate." in page
    assert "Exact retraining costs about 12.5 s." in page


def test_an_accepted_version_says_that_a_person_did_it(
    visitor: TestClient, kernel: Kernel, digits: ReadyModel
) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.refuse(digits)
    kernel.accept(request)
    kernel.publish_accepted(digits)

    page = html.unescape(visitor.get(f"/dashboard/requests/{request.id}").text)

    assert "A person accepted it: officer, risk assessed." in page
    assert "Accepted by a person" in page and "Refused" in page


def test_an_interim_version_is_told_not_to_close_the_request(
    visitor: TestClient, kernel: Kernel, digits: ReadyModel
) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.serve_interim(digits)

    page = html.unescape(visitor.get(f"/dashboard/requests/{request.id}").text)

    assert "as an interim version" in page and "It does not close the request." in page
    assert "Evidence" not in page
