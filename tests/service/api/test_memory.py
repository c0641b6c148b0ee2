"""Intake keeps nothing of a request in the process: as many objects after many requests as after a few."""

import gc
import logging
import sys
from itertools import pairwise

import pytest
from starlette.testclient import TestClient

from service.api import correlation
from tests.fixtures.registry import ReadyModel

PATH = "/v1/forget-requests"
ROUND, ROUNDS = 80, 4
"""What is kept of each request shows in every round; what caches and the collector move, in some."""


class Silence:
    """A log that nobody keeps."""

    def info(self, event: str, **fields: object) -> None:
        """Say nothing."""

    debug = info


def test_no_object_is_kept_of_a_request(
    api: TestClient, digits: ReadyModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(correlation, "log", Silence())  # what is captured of the log is kept
    caplog.set_level(logging.CRITICAL)  # so is what the client says, where a test before set the level
    ids = digits.sample_ids(*range(20))

    def blocks_after(first: int) -> int:
        for number in range(first, first + ROUND):
            target = {"kind": "samples", "sample_ids": [ids[number % len(ids)]]}
            headers = {"Idempotency-Key": f"key-{number}", "X-Request-ID": f"call-{number}"}
            answer = api.post(PATH, json={"model": "digits", "target": target}, headers=headers)
            assert answer.status_code == 202
        gc.collect()
        return sys.getallocatedblocks()

    blocks = [blocks_after(number * ROUND) for number in range(ROUNDS)]

    assert min(after - before for before, after in pairwise(blocks)) < ROUND / 2
