"""The hash locks agree with one another and with pyproject.toml, and name no address."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FULL, API, WORKER = "requirements.lock", "docker/requirements-api.lock", "docker/requirements-worker.lock"
PIN = re.compile(
    r"^([a-z0-9][a-z0-9._-]*)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)
HEAVY = {"torch", "torchvision", "numpy", "scipy", "scikit-learn", "celery", "kombu", "redis"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(lock: str) -> dict[str, str]:
    return {match[1]: match[2] for match in PIN.finditer((ROOT / lock).read_text())}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in requirements}


@pytest.mark.parametrize("lock", [FULL, API, WORKER])
def test_every_line_of_a_lock_is_a_pin_with_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()

    rest = [line for line in PIN.sub("", text).splitlines() if line and not line.startswith("#")]

    assert pins(lock)
    assert rest == []
    assert "://" not in text


@pytest.mark.parametrize("lock", [API, WORKER])
def test_the_images_run_the_versions_that_were_tested(lock: str) -> None:
    tested = pins(FULL)

    strange = {name: version for name, version in pins(lock).items() if tested.get(name) != version}

    assert strange == {}, f"{lock} and {FULL} differ; run `make lock`"


def test_a_lock_has_what_its_processes_need() -> None:
    base, worker = names(PROJECT["dependencies"]), names(PROJECT["optional-dependencies"]["worker"])

    assert base <= set(pins(API))
    assert base | worker <= set(pins(WORKER))


def test_the_api_image_gets_neither_torch_nor_a_queue() -> None:
    assert HEAVY.isdisjoint(pins(API))


def test_torch_and_torchvision_are_pinned_together_by_hand() -> None:
    by_hand = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )

    assert by_hand.keys() == {"torch", "torchvision"}
    assert by_hand.items() <= pins(FULL).items()
