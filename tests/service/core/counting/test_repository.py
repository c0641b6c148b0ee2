"""Counters: what is added is never lost, folded or not, and nobody waits for anybody."""

import pytest
from sqlalchemy import func, select

from service.core.counting import repository as counting
from service.core.counting.models import Count
from service.core.counting.repository import Counter
from service.core.db.session import Sessions, transaction


def totals(sessions: Sessions) -> dict[Counter, counting.Totals]:
    with transaction(sessions) as session:
        return counting.totals(session)


def num_rows(sessions: Sessions) -> int:
    with transaction(sessions) as session:
        return session.scalar(select(func.count()).select_from(Count)) or 0


def test_a_counter_is_the_sum_of_what_was_added_by_label(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        counting.add(session, Counter.RUNS, "retrain", "published")
        counting.add(session, Counter.RUNS, "retrain", "published")
        counting.add(session, Counter.RUN_SECONDS, "retrain", "published", amount=2.5)
        counting.add(session, Counter.LEASES_LOST, amount=3)

    assert totals(sessions) == {
        Counter.RUNS: {("retrain", "published"): 2.0},
        Counter.RUN_SECONDS: {("retrain", "published"): 2.5},
        Counter.LEASES_LOST: {(): 3.0},
    }


def test_what_was_rolled_back_was_not_counted(sessions: Sessions) -> None:
    with pytest.raises(ValueError, match="undone"), transaction(sessions) as session:
        counting.add(session, Counter.AUDITS, "pass")
        raise ValueError("undone")

    assert totals(sessions) == {}


def test_folding_leaves_the_sums_and_few_rows(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "FOLDED_AT", 10)
    with transaction(sessions) as session:
        for number in range(12):
            counting.add(session, Counter.AUDITS, "pass" if number % 3 else "fail")
    before = totals(sessions)

    with transaction(sessions) as session:
        assert counting.fold(session)

    assert totals(sessions) == before == {Counter.AUDITS: {("pass",): 8.0, ("fail",): 4.0}}
    assert num_rows(sessions) == 2
    with transaction(sessions) as session:
        assert not counting.fold(session)


def test_two_who_count_the_same_do_not_wait_and_folding_loses_neither(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "FOLDED_AT", 0)
    with transaction(sessions) as session:
        counting.add(session, Counter.AUDITS, "pass")

    with transaction(sessions) as slow:
        counting.add(slow, Counter.AUDITS, "pass")
        slow.flush()
        with transaction(sessions) as quick:
            counting.add(quick, Counter.AUDITS, "pass")
        with transaction(sessions) as folder:
            assert counting.fold(folder)

    assert totals(sessions) == {Counter.AUDITS: {("pass",): 3.0}}
