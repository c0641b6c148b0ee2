"""The catalogue of methods, as workers published it."""

from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.methods import repository

DESCRIBED = {
    "name": "ssd",
    "version": "1.0",
    "guarantee": "approximate",
    "kinds": ["samples"],
    "needs": ["forget_set"],
    "parameters": {"alpha": {"type": "number"}},
}


def test_the_catalogue_is_shown_as_it_was_published(api: TestClient, sessions: Sessions):
    with transaction(sessions) as session:
        repository.publish(session, [DESCRIBED, {**DESCRIBED, "name": "retrain", "guarantee": "exact"}])

    retrain, ssd = api.get("/v1/methods").json()["items"]

    assert (retrain["name"], retrain["guarantee"]) == ("retrain", "exact")
    assert ssd["description"] == {key: DESCRIBED[key] for key in ("kinds", "needs", "parameters")}
