"""Intake keeps nothing of a request in the process: as many objects after many requests as after a few."""

import gc
import sys

import pytest
import structlog
from starlette.testclient import TestClient

from service.api import correlation
from tests.fixtures.registry import ReadyModel

PATH = "/v1/forget-requests"
WARM, NUM_REQUESTS = 100, 200
NOISE = 100
"""Blocks that caches and the collector move, however many requests; one kept a request would be more."""


def test_no_object_is_kept_of_a_request(api: TestClient, digits: ReadyModel, monkeypatch: pytest.MonkeyPatch):
    quiet = structlog.wrap_logger(structlog.ReturnLogger())
    monkeypatch.setattr(correlation, "log", quiet)  # what is captured of the log is kept
    ids = digits.sample_ids(*range(20))

    def ask(first: int, last: int) -> int:
        for number in range(first, last):
            target = {"kind": "samples", "sample_ids": [ids[number % len(ids)]]}
            headers = {"Idempotency-Key": f"key-{number}", "X-Request-ID": f"call-{number}"}
            answer = api.post(PATH, json={"model": "digits", "target": target}, headers=headers)
            assert answer.status_code == 202
        gc.collect()
        return sys.getallocatedblocks()

    before = ask(0, WARM)
    after = ask(WARM, WARM + NUM_REQUESTS)

    assert after - before < NOISE
