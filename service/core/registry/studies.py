"""What a worker's study of a version found, for people: what it can promise, and how its references are.

A study writes among a version's facts, under `study`; a version that forgot since has fewer references from
the start, which its publication notes there. Pure: rows in, records out. What an older release wrote, or did
not, is read as nothing found yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.core.registry.models import Version
from service.core.registry.policy import Policy

STUDY = "study"


@dataclass(frozen=True)
class ReferenceState:
    """How the references of the served version are.

    Attributes:
        members: Of the reference bank.
        wanted: Members that the policy asks for.
        classes: That have a reference.
        wanted_classes: How many should.
        weak_since: First of the versions in a row, up to the served one, that had fewer members than wanted;
            None if there are enough.
        is_done: Whether the study has ended.
        left_out: What it left out, and why, as sentences.
        studied_at: When its last turn ended; None before the first.
    """

    members: int
    wanted: int
    classes: tuple[int, ...]
    wanted_classes: int
    weak_since: int | None
    is_done: bool
    left_out: tuple[str, ...]
    studied_at: datetime | None


def promise_of(version: Version | None) -> list[Mapping[str, Any]]:
    """Return what a version can promise, kind by kind; empty until it was studied."""
    return [*_study(version).get("promise", ())] if version is not None else []


def references_of(versions: Sequence[Version], policy: Policy) -> ReferenceState | None:
    """Return how a model's references are.

    Args:
        versions: Of the model, newest first, the served one the first.
        policy: Of the model.

    Returns:
        None before there is a version.
    """
    if not versions:
        return None
    study = _study(versions[0])
    found = study.get("references", {})
    at = study.get("at")
    return ReferenceState(
        members=_members(versions[0]),
        wanted=policy.reference_models,
        classes=tuple(found.get("classes", ())),
        wanted_classes=policy.class_references,
        weak_since=_weak_since(versions, policy.reference_models),
        is_done=bool(study.get("is_done")),
        left_out=tuple(study.get("left_out", ())),
        studied_at=datetime.fromisoformat(at) if at else None,
    )


def _weak_since(versions: Sequence[Version], wanted: int) -> int | None:
    since = None
    for version in versions:
        if _members(version) >= wanted:
            break
        since = version.number
    return since


def _members(version: Version) -> int:
    return int(_study(version).get("references", {}).get("members", 0))


def _study(version: Version) -> Mapping[str, Any]:
    found: Mapping[str, Any] = version.facts.get(STUDY, {})
    return found
