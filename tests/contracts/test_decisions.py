"""The decision records keep their form, and what they say enforces them exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
DECISIONS = [record for record in RECORDS if not record.name.startswith("0000")]
SECTIONS = ["Context", "Decision", "Consequences", "Rejected", "Enforced by"]
MAX_LINES = 60


def section(record: Path, name: str) -> str:
    """What stands under a heading."""
    return record.read_text().split(f"## {name}\n")[1].split("\n## ")[0]


def named(record: Path) -> str:
    return record.stem


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(len(RECORDS)))


@pytest.mark.parametrize("record", RECORDS, ids=named)
def test_a_record_has_every_section_in_order_on_one_page(record: Path) -> None:
    lines = record.read_text().splitlines()

    assert lines[0].startswith(f"# {record.name[:4]} ")
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == SECTIONS
    assert len(lines) <= MAX_LINES


@pytest.mark.parametrize("record", DECISIONS, ids=named)
def test_a_decision_is_one_line_to_quote(record: Path) -> None:
    quoted = [line for line in section(record, "Decision").splitlines() if line.startswith("> ")]

    assert len(quoted) == 1


@pytest.mark.parametrize("record", DECISIONS, ids=named)
def test_what_enforces_a_decision_exists(record: Path) -> None:
    contracts = (ROOT / ".importlinter").read_text()
    words = re.findall(r"`([^`]+)`", section(record, "Enforced by"))

    files = [word for word in words if "/" in word or (ROOT / word).exists()]
    claimed_contracts = re.findall(r"`([a-z]+(?:-[a-z]+)+)`", section(record, "Enforced by"))

    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert [one for one in claimed_contracts if f"[importlinter:contract:{one}]" not in contracts] == []


@pytest.mark.parametrize("record", RECORDS, ids=named)
def test_a_link_between_records_leads_somewhere(record: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", record.read_text())

    assert [link for link in links if not (record.parent / link).exists()] == []
