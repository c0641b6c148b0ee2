"""What is told of a study: nothing before it, its promise after it, and since when references are weak."""

from typing import Any

from service.core.registry import studies
from service.core.registry.models import Version
from service.core.registry.policy import Policy

POLICY = Policy(reference_models=4, class_references=2)


def version(number: int, members: int | None, **study: Any) -> Version:
    found = {} if members is None else {"references": {"members": members, "classes": [1]}, **study}
    return Version(number=number, facts={"accuracy": 0.9, **({"study": found} if found else {})})


def test_a_version_that_was_not_studied_promises_nothing() -> None:
    assert studies.promise_of(None) == studies.promise_of(version(1, None)) == []


def test_a_model_without_a_version_has_no_references() -> None:
    assert studies.references_of([], POLICY) is None


def test_enough_members_are_not_weak() -> None:
    state = studies.references_of([version(1, 4, is_done=True, at="2026-11-21T10:00:00+00:00")], POLICY)

    assert state is not None
    assert (state.members, state.wanted, state.weak_since, state.classes) == (4, 4, None, (1,))
    assert state.is_done and state.studied_at is not None


def test_references_are_weak_since_the_first_version_in_a_row_that_lacked_some() -> None:
    newest_first = [version(5, 2), version(4, 3), version(3, 4), version(2, 0), version(1, 4)]

    state = studies.references_of(newest_first, POLICY)

    assert state is not None and state.weak_since == 4


def test_a_policy_that_asks_for_no_members_is_never_short_of_them() -> None:
    state = studies.references_of([version(1, None)], Policy(reference_models=0))

    assert state is not None and state.weak_since is None
