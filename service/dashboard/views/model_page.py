"""What one model's page shows: what it serves, can promise and has forgotten, and all its versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from service.core.lineage import repository as lineage
from service.core.lineage.models import Dataset
from service.core.methods import repository as methods
from service.core.registry import repository as registry
from service.core.registry.models import Model, ModelState, Version, VersionFile, VersionState
from service.core.registry.policy import Policy
from service.core.requests import repository as requests
from service.core.requests.repository import RequestFilter
from service.dashboard import figures, repository, words
from service.dashboard.views.facts import Fact, compact, value_in_words
from service.dashboard.views.method_list import MethodRow, method_row
from service.dashboard.views.model_list import STATE
from service.dashboard.views.rows import RequestRow, rows_of
from service.dashboard.views.study import StudyView, study_view
from service.dashboard.words import Label, Tone

MOST_REQUESTS = 15

VERSION_STATE = {
    VersionState.PUBLISHED: Label("Served", Tone.DONE),
    VersionState.WITHDRAWN: Label("Withdrawn", Tone.WAITING),
    VersionState.PURGED: Label("Withdrawn, files deleted", Tone.QUIET),
}


@dataclass(frozen=True)
class VersionRow:
    """One version."""

    number: int
    state: Label
    is_served: bool
    guarantee: str | None
    guarantee_text: str
    promise: str
    digest: str
    base_number: int | None
    published_at: datetime
    withdrawn_at: datetime | None
    purged_at: datetime | None
    facts: tuple[Fact, ...]
    files: tuple[VersionFile, ...]
    """The public ones; none once they are deleted."""


@dataclass(frozen=True)
class Ladder:
    """The methods that are tried for one kind of request, in order."""

    kind: str
    rungs: tuple[MethodRow | str, ...]
    """A name alone where no worker has published such a method."""


@dataclass(frozen=True)
class ModelPage:
    """One model."""

    title: str
    name: str
    state: Label
    reason: str | None
    facts: tuple[Fact, ...]
    served_version: int | None
    revocation_floor: int
    forgotten_classes: tuple[int, ...]
    num_forgotten: int
    exact: str
    """Whether exact retraining comes first, and why."""
    study: StudyView
    ladders: tuple[Ladder, ...]
    policy: tuple[Fact, ...]
    versions: tuple[VersionRow, ...]
    rows: tuple[RequestRow, ...]
    all_requests: str
    """Query of the list of its requests."""


def look(session: Session, now: datetime, name: str) -> ModelPage:
    """Read one model's page.

    Raises:
        errors.NotFound: No model has this name.
    """
    model = registry.model_named(session, name)
    policy = Policy.model_validate(model.policy)
    versions = registry.versions_of(session, model.id)
    catalogue = {entry.name: method_row(entry) for entry in methods.all_methods(session)}
    found = requests.requests_before(session, RequestFilter(model=name), None, MOST_REQUESTS)
    return ModelPage(
        title=model.name,
        name=model.name,
        state=STATE[ModelState(model.state)],
        reason=model.reason,
        facts=_facts(model, session.get_one(Dataset, model.dataset_id)),
        served_version=model.served_version,
        revocation_floor=model.revocation_floor,
        forgotten_classes=tuple(lineage.forgotten_classes(session, model.id)),
        num_forgotten=repository.num_forgotten_samples(session, model.id),
        exact=_exact(model, policy),
        study=study_view(versions, policy, now),
        ladders=(
            _ladder("Classes", policy.class_ladder, catalogue),
            _ladder("Samples and persons", policy.samples_ladder, catalogue),
        ),
        policy=_policy_facts(policy),
        versions=tuple(_version(session, one, model) for one in versions),
        rows=rows_of(session, found, {model.id: model.name}, now),
        all_requests=urlencode({"model": model.name}),
    )


def _facts(model: Model, dataset: Dataset) -> tuple[Fact, ...]:
    facts = [
        Fact("Architecture", model.factory),
        Fact("Arguments", compact(model.arguments) if model.arguments else "none"),
        Fact("Classes", str(model.num_classes) if model.num_classes else "not known yet"),
        Fact("Dataset", dataset.name),
        Fact("Samples", f"{dataset.num_samples:,}" if dataset.num_samples else "not read yet"),
        Fact(
            "Training cost",
            figures.seconds(model.training_seconds) if model.training_seconds else "not measured yet",
        ),
        Fact("Registered", figures.moment(model.created_at)),
    ]
    return tuple(facts)


def _exact(model: Model, policy: Policy) -> str:
    if not policy.exact_budget_seconds:
        return "The policy sets no time aside for retraining first."
    budget = figures.seconds(policy.exact_budget_seconds)
    if model.training_seconds is None:
        return f"Retrained exactly first if training fits {budget}; its cost is not measured yet."
    cost = figures.seconds(model.training_seconds)
    if model.training_seconds <= policy.exact_budget_seconds:
        return f"Retrained exactly first: training takes about {cost}, within the budget of {budget}."
    return f"Training takes about {cost}, more than the budget of {budget}: the ladder below is climbed."


def _ladder(kind: str, names: Sequence[str], catalogue: Mapping[str, MethodRow]) -> Ladder:
    return Ladder(kind, tuple(catalogue.get(name, name) for name in names))


def _policy_facts(policy: Policy) -> tuple[Fact, ...]:
    limits = ", ".join(
        f"{words.readable(name)} {figures.decimal(value)}" for name, value in policy.audit_limits.items()
    )
    window, shared = policy.cancel_window_seconds, policy.batch_window_seconds
    days = figures.seconds(policy.exact_window_seconds)
    closes = {
        "audit_pass": "a version that passed its audit",
        "exact": f"exact retraining only, {days} after an interim version at the latest",
    }
    return (
        Fact("Closes a request", closes[policy.complete_on]),
        Fact("First answer to classes", "a masked output" if policy.suppress_first else "that of the ladder"),
        Fact("Undecided audits", "published, so labelled" if policy.accept_inconclusive else "not published"),
        Fact("Last rung", "exact retraining" if policy.exact_at_last else "as the ladder says"),
        Fact("Approval", "by a person" if policy.approval_required else "not needed"),
        Fact("Cancel window", figures.seconds(window) if window else "none"),
        Fact("Batch window", figures.seconds(shared) if shared else "none"),
        Fact("Audit limits", limits or "those of the suite"),
    )


def _version(session: Session, version: Version, model: Model) -> VersionRow:
    text, promise = words.guarantee(version.guarantee)
    is_purged = version.state == VersionState.PURGED
    return VersionRow(
        number=version.number,
        state=VERSION_STATE[VersionState(version.state)],
        is_served=version.number == model.served_version,
        guarantee=version.guarantee,
        guarantee_text=text,
        promise=promise,
        digest=version.digest,
        base_number=version.base_number,
        published_at=version.published_at,
        withdrawn_at=version.withdrawn_at,
        purged_at=version.purged_at,
        facts=_measured(version.facts),
        files=() if is_purged else tuple(registry.files_of(session, version.id, public=True)),
    )


def _measured(facts: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return what was measured of a version; of the classes, the weakest."""
    told = [
        Fact(
            words.FACT.get(name, words.headline(name)),
            figures.percent(value) if name.startswith("accuracy") else value_in_words(value),
        )
        for name, value in facts.items()
        if isinstance(value, int | float)
    ]
    if by_class := facts.get("accuracy_by_class"):
        label, accuracy = min(by_class.items(), key=lambda pair: pair[1])
        told.append(Fact(f"Weakest class, {label}", figures.percent(accuracy)))
    return tuple(told)
