"""The bench's tables rank by nearness to retraining, and hide neither refusals nor failed audits."""

import numpy as np
import pytest

from benchmarks.quality import page, tables
from benchmarks.quality.measures import Outcome

SCORES = np.linspace(-3, 3, 10)


def outcome(method, distance=0.1, seed=0, **changes):
    values = {
        "retained": 1.0,
        "forgotten": 0.2,
        "test": 0.98,
        "distance": distance,
        "gold_distance": 0.1,
        "test_distance": 0.1,
        "gold_test_distance": 0.1,
        "membership": 0.5,
        "changed": 0.03,
        "seconds": 1.0,
        "gold_seconds": 10.0,
        "verdict": "pass",
        "scores": SCORES + 0.01 * seed,
    }
    return Outcome("class", method, seed, **{**values, **changes})


@pytest.fixture
def found():
    outcomes = [
        outcome("far", 0.9, verdict="fail", failed="no_op,forgetting"),
        Outcome("class", "unable", 0, "missing_need"),
        outcome("near", 0.2, is_experimental=True),
        outcome("retrain", 0.1),
    ]
    return tables.lines(outcomes, {("class", 0): SCORES})


def test_methods_are_ranked_by_distance_and_refusals_come_last(found):
    assert [line.method for line in found["class"]] == ["retrain", "near", "far", "unable"]


def test_the_matrix_shows_in_bold_only_what_passed_every_audit(found):
    rows = [*tables.matrix(found)]

    assert rows[2:] == [
        "| `retrain` | **1.0 · 0.50** |",
        "| `near` ° | **2.0 · 0.50** |",
        "| `far` | 9.0 · 0.50 |",
        "| `unable` | refused |",
    ]


def test_the_details_say_what_refused_a_candidate_and_why_there_is_none(found):
    rows = [*tables.details(found["class"])]

    assert "passes 0 of 1: no_op, forgetting" in rows[4]
    assert "refused: missing_need" in rows[5]
    assert len({row.count("|") for row in rows}) == 1


def test_a_method_that_passed_no_audit_makes_no_figure(found):
    names = [line.split()[1] for line, _ in tables.figures("digits", found)]

    assert names == ["digits_class_retrain_told", "digits_class_near_told"]


def test_only_what_stands_between_the_marks_is_replaced(found, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "DOCS", tmp_path)
    text = "before\n<!-- quality digits begins -->\nan earlier table\n<!-- quality digits ends -->\nafter\n"
    (tmp_path / "results.md").write_text(text)

    for _ in range(2):
        page.write("digits", "a command", 1, found)

    written = (tmp_path / "results.md").read_text()
    assert written.startswith("before\n") and written.endswith("-->\nafter\n") and "earlier" not in written
    assert written.count("| `retrain` |") == 1 and "`a command` (1 seed)" in written
    assert "## Class" in (tmp_path / "quality-digits.md").read_text()


def test_a_page_without_marks_is_left_alone(found, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "DOCS", tmp_path)
    (tmp_path / "results.md").write_text("prose")

    with pytest.raises(ValueError, match="add them where the table goes"):
        page.write("digits", "a command", 1, found)

    assert (tmp_path / "results.md").read_text() == "prose"
