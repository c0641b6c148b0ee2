"""What a model's page tells of a worker's study: the promises it found, and how the references are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.core.registry import studies
from service.core.registry.models import Version
from service.core.registry.policy import Policy
from service.core.registry.studies import ReferenceState
from service.dashboard import figures
from service.dashboard.views.facts import Fact


@dataclass(frozen=True)
class StudyView:
    """A study in words.

    Attributes:
        promises: A sentence a kind of request; empty until something was rehearsed.
        nothing: What to say instead.
        references: How the references are.
        left_out: What the study left out, and why.
    """

    promises: tuple[str, ...]
    nothing: str
    references: tuple[Fact, ...]
    left_out: tuple[str, ...]


def study_view(versions: Sequence[Version], policy: Policy, now: datetime) -> StudyView:
    """Put the study of the newest version into words; `versions` newest first."""
    promised = studies.promise_of(versions[0]) if versions else []
    state = studies.references_of(versions, policy)
    is_forbidden = policy.study_seconds == 0
    return StudyView(
        promises=tuple(_sentence(str(each["text"])) for each in promised),
        nothing="The policy leaves no time for a study."
        if is_forbidden
        else "Nothing was rehearsed yet; a worker studies the version when nobody waits.",
        references=_references(state, now, is_forbidden=is_forbidden) if state is not None else (),
        left_out=tuple(_sentence(text) for text in state.left_out) if state is not None else (),
    )


def _references(state: ReferenceState, now: datetime, *, is_forbidden: bool) -> tuple[Fact, ...]:
    facts = (
        Fact("Reference models", _bank(state, is_forbidden=is_forbidden)),
        Fact(
            "Class references",
            f"{len(state.classes)} of {state.wanted_classes}" if state.wanted_classes else "none asked for",
        ),
    )
    if state.studied_at is None:
        return facts
    return (*facts, Fact("Studied", figures.age(state.studied_at, now)))


def _bank(state: ReferenceState, *, is_forbidden: bool) -> str:
    if not state.wanted:
        return "none asked for"
    counted = f"{state.members} of {state.wanted}"
    if state.weak_since is None:
        return counted
    renewal = "" if state.is_done or is_forbidden else ", renewal under way"
    return f"{counted}; too weak since version {state.weak_since}{renewal}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
