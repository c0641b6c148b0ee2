"""A value that many ask for is read once in a while."""

import threading
import time

import pytest

from service.api.freshness import Fresh


def test_what_was_read_a_moment_ago_is_not_read_again() -> None:
    reads: list[int] = []
    fresh = Fresh(lambda: reads.append(1) or len(reads), seconds=3600.0)

    assert [fresh.get(), fresh.get()] == [1, 1]


def test_what_is_too_old_is_read_again() -> None:
    reads: list[int] = []
    fresh = Fresh(lambda: reads.append(1) or len(reads), seconds=0.0)

    first = fresh.get()
    time.sleep(0.002)

    assert (first, fresh.get()) == (1, 2)


def test_those_who_ask_at_once_share_one_reading() -> None:
    reads: list[int] = []

    def read() -> int:
        reads.append(1)
        time.sleep(0.05)
        return len(reads)

    fresh = Fresh(read, seconds=3600.0)
    threads = [threading.Thread(target=fresh.get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(reads) == 1


def test_an_error_is_not_kept() -> None:
    answers = iter([ValueError("out"), 7])

    def read() -> int:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    fresh = Fresh(read, seconds=3600.0)

    with pytest.raises(ValueError, match="out"):
        fresh.get()
    assert fresh.get() == 7
