"""The compose file and the Dockerfiles: least rights, pinned images, every process of the floor plan."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import ServiceSettings
from workers.settings import WorkerSettings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
NETWORKS: dict[str, dict[str, Any] | None] = yaml.safe_load(COMPOSE)["networks"]
OURS = ("migrate", "api", "relay", "worker-cpu", "worker-gpu")
SECRETS = ("LETHE_ADMIN_KEY", "LETHE_DATABASE_PASSWORD", "LETHE_BROKER_PASSWORD")
PINNED = re.compile(r".+:\d+\.\d+(\.\d+)?(-[a-z]+)*(@sha256:[0-9a-f]{64})?")
SETTINGS = {
    "api": ServiceSettings,
    "relay": WorkerSettings,
    "worker-cpu": WorkerSettings,
    "worker-gpu": WorkerSettings,
}


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments; comments left out, continued lines joined."""
    text = (ROOT / "docker" / name).read_text()
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def networks_of(service: str) -> list[str]:
    return list(SERVICES[service]["networks"])


def test_every_process_of_the_floor_plan_has_a_container() -> None:
    assert set(SERVICES) == {"postgres", "redis", *OURS}


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_is_pinned_to_a_version(service: str) -> None:
    assert PINNED.fullmatch(SERVICES[service]["image"])


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_cannot_gain_rights_or_change_its_image(service: str) -> None:
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]
    assert SERVICES[service]["read_only"] is True


@pytest.mark.parametrize("service", OURS)
def test_our_containers_hold_no_capability(service: str) -> None:
    assert SERVICES[service]["cap_drop"] == ["ALL"]


def test_only_the_api_is_reachable_and_only_from_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert list(published) == ["api"]
    assert all(port.startswith("127.0.0.1:") for port in published["api"])


def test_what_holds_data_reaches_nothing_outside() -> None:
    internal = {name for name, network in NETWORKS.items() if network and network.get("internal")}

    assert all(set(networks_of(name)) <= internal for name in SERVICES if name != "api")


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_has_no_default(secret: str) -> None:
    uses = re.findall(r"\$\{" + secret + r"(.)(.)", COMPOSE)

    assert uses
    assert set(uses) == {(":", "?")}


@pytest.mark.parametrize("service", OURS)
def test_nobody_starts_before_what_it_needs(service: str) -> None:
    awaited = {name: wait["condition"] for name, wait in SERVICES[service]["depends_on"].items()}

    if service == "migrate":
        assert awaited == {"postgres": "service_healthy"}
    else:
        assert awaited["migrate"] == "service_completed_successfully"
    healthy = [name for name, condition in awaited.items() if condition == "service_healthy"]
    assert all("test" in SERVICES[name]["healthcheck"] for name in healthy)


@pytest.mark.parametrize("service", SETTINGS)
def test_a_process_is_told_what_it_must_know_and_nothing_it_does_not(service: str) -> None:
    fields = SETTINGS[service].model_fields
    required = {f"LETHE_{name.upper()}" for name, field in fields.items() if field.is_required()}
    known = {f"LETHE_{name.upper()}" for name in fields}

    assert required <= set(SERVICES[service]["environment"]) <= known


def test_only_the_gpu_worker_asks_for_a_gpu_and_it_must_be_asked_for() -> None:
    with_devices = [name for name, service in SERVICES.items() if "deploy" in service]

    assert with_devices == ["worker-gpu"]
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    assert SERVICES["worker-gpu"]["environment"]["LETHE_DEVICE"] == "cuda"


@pytest.mark.parametrize("dockerfile", ["Dockerfile.api", "Dockerfile.worker"])
def test_an_image_is_built_on_a_pinned_base_and_runs_as_nobody_special(dockerfile: str) -> None:
    steps = instructions(dockerfile)
    arguments = dict(rest.split("=", 1) for word, rest in steps if word == "ARG")

    assert {rest.split(" ")[0] for word, rest in steps if word == "FROM"} == {"${PYTHON}"}
    assert PINNED.fullmatch(arguments["PYTHON"])
    assert [rest for word, rest in steps if word == "USER"] == ["10001:10001"]
    assert [word for word, _ in steps].index("USER") > max(
        i for i, (word, _) in enumerate(steps) if word == "RUN"
    )
    assert any(word == "HEALTHCHECK" for word, _ in steps)


@pytest.mark.parametrize(
    ("dockerfile", "parts"),
    [
        ("Dockerfile.api", {"migrations", "service"}),
        ("Dockerfile.worker", {"docker/reach.py", "service/__init__.py", "service/core", "workers"}),
    ],
)
def test_an_image_holds_its_own_rooms_alone(dockerfile: str, parts: set[str]) -> None:
    steps = instructions(dockerfile)
    last_stage = max(index for index, (word, _) in enumerate(steps) if word == "FROM")
    copied = [rest.split(" ") for word, rest in steps[last_stage:] if word == "COPY"]

    assert {source for source, *_ in copied if not source.startswith("--from=")} == parts
