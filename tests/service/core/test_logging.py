"""Logs: one JSON object or one line of text an event, ours and other libraries' alike."""

import json
import logging as standard
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from service.core import logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root = standard.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_line_is_a_json_object_with_event_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("INFO", "json")

    logging.get("test.one").info("job.claimed", attempts=2)

    (line,) = lines(capsys)
    assert line["event"] == "job.claimed"
    assert (line["level"], line["logger"], line["attempts"]) == ("info", "test.one", 2)
    assert line["timestamp"].endswith("Z")


def test_other_libraries_lines_look_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("INFO", "json")

    standard.getLogger("some.library").warning("%s of %s", 1, 2)

    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["logger"]) == ("1 of 2", "warning", "some.library")


def test_less_severe_lines_than_asked_for_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("WARNING", "json")

    logging.get("test.two").info("quiet")
    logging.get("test.two").warning("loud")

    assert [line["event"] for line in lines(capsys)] == ["loud"]


def test_bound_fields_stay_until_others_are_bound(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("INFO", "json")

    logging.bind(job="one", epoch=1)
    logging.get("test.three").info("a")
    logging.bind(job="two")
    logging.get("test.three").info("b")

    first, second = lines(capsys)
    assert (first["job"], first["epoch"]) == ("one", 1)
    assert second["job"] == "two"
    assert "epoch" not in second


def test_traceback_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("INFO", "json")

    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.get("test.four").exception("failed")

    (line,) = lines(capsys)
    assert "RuntimeError: broken" in line["exception"]


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("INFO", "text")

    logging.get("test.five").info("job.claimed", attempts=2)

    text = capsys.readouterr().err
    assert "job.claimed" in text
    assert "attempts=2" in text
    assert "\x1b" not in text


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]
