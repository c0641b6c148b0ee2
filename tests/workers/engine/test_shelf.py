"""The shelf keeps what was used last, within its bytes."""

import torch

from workers.engine.shelf import Shelf
from workers.numerics.params import Params

KILOBYTE = {"w": torch.zeros(256)}


def test_what_is_kept_is_not_loaded_again() -> None:
    shelf, loads = Shelf(10_000), []

    def load() -> Params:
        loads.append(1)
        return KILOBYTE

    assert shelf.get("a", load) is shelf.get("a", load)
    assert len(loads) == 1


def test_what_was_used_least_recently_goes_first() -> None:
    shelf, loads = Shelf(2048), list[str]()

    def get(key: str) -> None:
        def load() -> Params:
            loads.append(key)
            return {"w": torch.zeros(256)}

        shelf.get(key, load)

    for key in ("a", "b", "a", "c", "a", "b"):
        get(key)

    assert loads == ["a", "b", "c", "b"]


def test_what_is_larger_than_the_shelf_is_handed_on_and_not_kept() -> None:
    shelf = Shelf(100)

    assert shelf.get("big", lambda: KILOBYTE) is KILOBYTE
    other = {"w": torch.ones(256)}
    assert shelf.get("big", lambda: other) is other
