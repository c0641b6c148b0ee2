"""One model's page, the list of models and the catalogue of methods."""

import html

from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.registry import repository
from service.core.registry import service as registry
from service.core.registry.policy import Policy
from tests.fixtures.dashboard import Scene
from tests.fixtures.registry import MakeReady, registration


def test_versions_tell_what_became_of_each(visitor: TestClient, scene: Scene) -> None:
    page = html.unescape(visitor.get("/dashboard/models/digits").text)

    places = [page.index(f"<h3>Version {number}</h3>") for number in (3, 2, 1)]
    assert places == sorted(places)
    assert page.count("Withdrawn, files deleted") == 2 and page.count("Served</span>") == 1
    assert "serves version 3; none below 3 may be served again" in page
    assert "As it was registered: nothing was forgotten yet." in page
    assert page.count("model.safetensors") == 1, "files of withdrawn versions are gone"


def test_model_tells_what_it_has_forgotten(visitor: TestClient, scene: Scene) -> None:
    page = visitor.get("/dashboard/models/digits").text
    forgotten = page[page.index('id="forgotten"') :]

    assert "<dt>Classes</dt><dd>3</dd>" in forgotten
    assert '<dt>Training samples</dt><dd class="number">11</dd>' in forgotten


def test_model_promises_by_its_policy(visitor: TestClient, make_ready: MakeReady, scene: Scene) -> None:
    make_ready("quick", "quick", Policy(exact_budget_seconds=60, class_ladder=("mystery", "retrain")))

    quick = html.unescape(visitor.get("/dashboard/models/quick").text)
    digits = html.unescape(visitor.get("/dashboard/models/digits").text)

    assert "Retrained exactly first: training takes about 12.5 s, within the budget of 1 min 0 s." in quick
    assert "mystery" in quick and "No worker offers this method." in quick
    assert "more than the budget of 5 s: the ladder below is climbed." in digits


STUDY = {
    "references": {"members": 2, "classes": [1, 2]},
    "promise": [{"text": "class requests: ssd, 0.2 s, approximate, passed 9 of 10 rehearsals"}],
    "left_out": ["rehearsal: 3 of 12 tries: the allowance is spent"],
    "is_done": False,
    "at": "2026-11-21T10:00:00+00:00",
}


def test_model_promises_what_was_rehearsed_on_its_version(
    visitor: TestClient, sessions: Sessions, make_ready: MakeReady
) -> None:
    studied = make_ready("studied", "studied", Policy(reference_models=4, class_references=2))
    make_ready("new", "new")
    make_ready("hurried", "hurried", Policy(study_seconds=0))
    with transaction(sessions) as session:
        version = repository.version_numbered(session, studied.id, 1)
        version.facts = {**version.facts, "study": STUDY}

    page, new, hurried = (
        html.unescape(visitor.get(f"/dashboard/models/{name}").text) for name in ("studied", "new", "hurried")
    )

    assert "Class requests: ssd, 0.2 s, approximate, passed 9 of 10 rehearsals." in page
    assert "2 of 4; too weak since version 1, renewal under way" in page
    assert "<dt>Class references</dt><dd>2 of 2</dd>" in page
    assert "the allowance is spent" in page
    assert "Nothing was rehearsed yet" in new
    assert "The policy leaves no time for a study." in hurried and "renewal under way" not in hurried


def test_model_without_weights_says_what_it_waits_for(visitor: TestClient, sessions: Sessions) -> None:
    with transaction(sessions) as session:
        registry.register(session, registration("unborn"))

    listed = visitor.get("/dashboard/models").text
    page = visitor.get("/dashboard/models/unborn").text

    assert "Awaits its weights" in listed and "nothing yet" in listed
    assert "Nothing is published yet." in page and "its cost is not measured yet" in page


def test_catalogue_has_the_strongest_promise_first(visitor: TestClient, scene: Scene) -> None:
    page = html.unescape(visitor.get("/dashboard/methods").text)

    places = [page.index(name) for name in ("Exact retraining", "One-shot mnemonic", "Selective synaptic")]
    assert places == sorted(places)
    assert "classes, samples and persons" in page
    assert "What to know of ssd." in page and "found by search" in page


def test_catalogue_is_empty_until_a_worker_came(visitor: TestClient) -> None:
    assert "No worker has published its methods yet" in visitor.get("/dashboard/methods").text
