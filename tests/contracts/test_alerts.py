"""Every alarm rests on metrics that are told, and the runbook says what to do about it."""

import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.fleet import repository as fleet
from service.core.fleet.models import Role
from service.core.fleet.repository import Sighting
from tests.fixtures.api import AS_ADMIN
from tests.fixtures.registry import ReadyModel

DOCS = Path(__file__).parents[2] / "docs"
METRIC = re.compile(r"\blethe_[a-z_]+\b")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_metric_of_a_rule_is_told(api: TestClient, sessions: Sessions, digits: ReadyModel) -> None:
    with transaction(sessions) as session:
        facts = {"gpu_used_bytes": 1, "gpu_total_bytes": 2}
        fleet.note(session, Sighting("a:1", Role.WORKER, "a", 1, device="cuda", facts=facts))
    api.get("/v1/models", headers=AS_ADMIN)

    text = api.get("/metrics").text
    told = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    told |= {f"{family.name}_total" for family in text_string_to_metric_families(text)}

    asked = {name for rule in rules() for name in METRIC.findall(rule["expr"])}
    assert len(asked) > 10
    assert asked - told == set()


def test_rules_are_whole_and_named_once() -> None:
    found = rules()

    assert len({rule["alert"] for rule in found}) == len(found)
    for rule in found:
        assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert re.fullmatch(r"[0-9]+[mh]", rule.get("for", "1m"))


def test_the_runbook_has_a_chapter_for_every_alarm_and_no_other_names_one() -> None:
    text = (DOCS / "runbook.md").read_text()

    chapters = set(re.findall(r"^### ([A-Z][A-Za-z]+)$", text, re.MULTILINE))

    assert chapters == {rule["alert"] for rule in rules()}
