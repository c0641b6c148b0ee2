"""The catalogue of methods: the newest description of a name stays."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from service.core.db.session import Sessions, transaction
from service.core.methods import repository as methods

SSD: dict[str, object] = {
    "name": "ssd",
    "version": "1.0",
    "guarantee": "approximate",
    "kinds": ["samples"],
    "needs": [],
}
RETRAIN: dict[str, object] = {
    "name": "retrain",
    "version": "2.0",
    "guarantee": "exact",
    "kinds": ["class", "samples"],
}


def test_catalogue_is_sorted_and_keeps_the_description(sessions: Sessions) -> None:
    publish(sessions, SSD, RETRAIN)

    with transaction(sessions) as session:
        found = methods.all_methods(session)
        assert [(one.name, one.version, one.guarantee) for one in found] == [
            ("retrain", "2.0", "exact"),
            ("ssd", "1.0", "approximate"),
        ]
        assert found[1].description == {"kinds": ["samples"], "needs": []}


def test_newer_description_replaces_the_older(sessions: Sessions) -> None:
    publish(sessions, SSD)
    publish(sessions, SSD | {"version": "1.1", "kinds": ["class", "samples"]})

    with transaction(sessions) as session:
        entry = methods.get(session, "ssd")
        assert entry is not None
        assert (entry.version, entry.description["kinds"]) == ("1.1", ["class", "samples"])
        assert methods.get(session, "magic") is None


def test_workers_that_start_together_do_not_lock_each_other_out(sessions: Sessions) -> None:
    barrier = Barrier(2)
    many = [SSD | {"name": f"method-{number}"} for number in range(20)]

    def start(order: int) -> None:
        barrier.wait()
        for _ in range(5):
            publish(sessions, *many[::order])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(start, (1, -1)))

    with transaction(sessions) as session:
        assert len(methods.all_methods(session)) == 20


def publish(sessions: Sessions, *described: dict[str, object]) -> None:
    """Publish as a worker does when it starts."""
    with transaction(sessions) as session:
        methods.publish(session, described)
