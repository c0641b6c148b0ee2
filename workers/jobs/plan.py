"""Plans a run: which methods try, in which order. Pure: rows in, rungs out.

The order of thought: (1) a model that trains within its exact budget is retrained at once, unless a request
asks for a method by name; (2) else each kind of request has its ladder, the method asked for first; (3) rung
after rung is tried until the audit passes one; exact retraining serves both kinds in a single step, and it
ends every ladder unless the policy says otherwise.

Exact methods give the same model, so only their cost tells them apart: where one is to come, by budget or by
a ladder, the cheapest that fits does. For a model trained in shards that is the one that trains again only
the shards that hold something forgotten.

Where forgetting was rehearsed on the version, the record speaks: a rung that was seen to fail is left out,
unless a request names it or no other is left, and a method runs at the setting that passed, unless the policy
states one. A setting was rehearsed on one class at a time, so several at once are forgotten by the method's
own defaults.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from service.core.registry.policy import Policy
from service.core.requests import interims
from service.core.requests.assignments import Assignment
from workers.engine.messages import Group, Step
from workers.preparation.rehearsal import experience
from workers.preparation.rehearsal.record import CaseKind, Rehearsal

AUTO = "auto"
EXACT = "exact"
SUPPRESSED = "suppressed"
UPDATE_LOG = "update_log"


@dataclass(frozen=True)
class Offer:
    """A method as the planner sees it.

    Attributes:
        name: The method.
        guarantee: What it claims.
        kinds: Which groups it serves: `class`, `samples`.
        needs: What must have been prepared.
    """

    name: str
    guarantee: str
    kinds: frozenset[str]
    needs: frozenset[str]

    @classmethod
    def of(cls, name: str, guarantee: str, description: Mapping[str, Any]) -> "Offer":
        """Read a row of the catalogue."""
        return cls(name, guarantee, frozenset(description["kinds"]), frozenset(description["needs"]))


@dataclass(frozen=True)
class Terrain:
    """What the model at hand allows.

    Attributes:
        offers: The methods of the catalogue by name.
        has_codes: Whether it was trained with mnemonic codes.
        has_recipe: Whether it can be trained again: weights that its recipe starts from are here.
        has_update_log: Whether its training's log is here, and belongs to what is served.
        training_seconds: Measured cost of training it once.
        shards: Parts of the data that its recipe trains apart from each other.
        has_slices: Whether its recipe is one in shards or slices.
        has_head: Whether the version has the secret state that removal by proof starts from.
        rehearsal: What was rehearsed on the version; None if nothing was.
    """

    offers: Mapping[str, Offer]
    has_codes: bool
    has_recipe: bool
    has_update_log: bool
    training_seconds: float | None
    shards: int = 1
    has_slices: bool = False
    has_head: bool = False
    rehearsal: Rehearsal | None = None


def groups_of(assignment: Assignment) -> tuple[Group, ...]:
    """Return the assignment's target as one group of classes and one of samples, without empty ones."""
    groups = []
    if assignment.classes:
        groups.append(Group(kind="class", classes=assignment.classes))
    if assignment.positions:
        groups.append(Group(kind="samples", positions=assignment.positions))
    return tuple(groups)


def ladder(assignment: Assignment, policy: Policy, terrain: Terrain) -> list[tuple[Step, ...]]:
    """Return the rungs to try, each a sequence of steps; empty when no method fits.

    A rung with an exact step is that one step for everything: what is retrained without all of it needs no
    second method. Where one kind's ladder is shorter, its last method stays.
    """
    if assignment.is_exact_only:
        return exact_ladder(assignment, policy, terrain)
    groups = groups_of(assignment)
    columns = [_methods_for(group, assignment, policy, terrain) for group in groups]
    if not columns or not all(columns):
        return []
    rungs: list[tuple[Step, ...]] = []
    for row in zip_longest(*columns):
        names = [name or column[-1] for name, column in zip(row, columns, strict=True)]
        exact = next((name for name in names if terrain.offers[name].guarantee == EXACT), None)
        rung = (
            (_everything(assignment, exact, policy, terrain),)
            if exact is not None
            else tuple(_step(group, name, policy, terrain) for group, name in zip(groups, names, strict=True))
        )
        if rung not in rungs:
            rungs.append(rung)
    return rungs


def exact_ladder(assignment: Assignment, policy: Policy, terrain: Terrain) -> list[tuple[Step, ...]]:
    """Return the one rung that retrains without everything the assignment names; empty if nothing can."""
    groups = groups_of(assignment)
    if not groups:
        return []
    first, *others = (_exact_by_cost(group, assignment, terrain) for group in groups)
    common = [name for name in first if all(name in other for other in others)]
    return [(_everything(assignment, name, policy, terrain),) for name in common[:1]]


def mask_rung(assignment: Assignment, policy: Policy, terrain: Terrain) -> tuple[Step, ...] | None:
    """Return the rung that only masks the outputs of the assignment's classes; None without any."""
    groups = groups_of(assignment)
    if len(groups) != 1 or not _fits(interims.MASK_METHOD, groups[0], terrain):
        return None
    return (_step(groups[0], interims.MASK_METHOD, policy, terrain),)


def _methods_for(group: Group, assignment: Assignment, policy: Policy, terrain: Terrain) -> list[str]:
    is_class = group.kind == "class"
    asked = assignment.class_method if is_class else assignment.samples_method
    climb: Sequence[str] = policy.class_ladder if is_class else policy.samples_ladder
    cheapest = _exact_by_cost(group, assignment, terrain)[:1]
    climb = [
        cheapest[0] if _is_exact(name, terrain) and _fits(name, group, terrain) else name for name in climb
    ]
    first = _exact_first(group, assignment, policy, terrain) if asked == AUTO else [asked]
    last = cheapest if policy.exact_at_last else []
    names = [*first, *climb, *last]
    fitting = [name for name in dict.fromkeys(names) if _fits(name, group, terrain)]
    fitting = [name for name in fitting if not _only_masks(name, terrain)]  # never the last word
    hopeful = [name for name in fitting if name == asked or not _is_seen_to_fail(name, group, terrain)]
    fitting = hopeful or fitting
    first_exact = next((index for index, name in enumerate(fitting) if _is_exact(name, terrain)), None)
    return fitting if first_exact is None else fitting[: first_exact + 1]


def _exact_first(group: Group, assignment: Assignment, policy: Policy, terrain: Terrain) -> list[str]:
    """Return the cheapest exact method if it fits the budget for exact ones."""
    found = _exact_by_cost(group, assignment, terrain)[:1]
    if not found or terrain.training_seconds is None:
        return []
    cost = terrain.training_seconds * _share_of_training(found[0], assignment, terrain)
    return found if cost <= policy.exact_budget_seconds else []


def _exact_by_cost(group: Group, assignment: Assignment, terrain: Terrain) -> list[str]:
    """Return the exact methods that fit, the cheapest first; of equal ones, one that takes states over."""
    fitting = [name for name in terrain.offers if _is_exact(name, terrain) and _fits(name, group, terrain)]
    return sorted(
        fitting,
        key=lambda name: (
            _share_of_training(name, assignment, terrain),
            "slices" not in terrain.offers[name].needs,
            name,
        ),
    )


def _share_of_training(name: str, assignment: Assignment, terrain: Terrain) -> float:
    """Return about what share of a training an exact method does.

    n samples at random lie in S (1 - (1 - 1/S)^n) of S shards; a class lies in all of them. That states from
    before their slices were kept is not counted on.
    """
    if "slices" not in terrain.offers[name].needs or assignment.classes:
        return 1.0
    return float(1 - (1 - 1 / terrain.shards) ** len(assignment.positions))


def _only_masks(name: str, terrain: Terrain) -> bool:
    return terrain.offers[name].guarantee == SUPPRESSED


def _is_exact(name: str, terrain: Terrain) -> bool:
    return name in terrain.offers and terrain.offers[name].guarantee == EXACT


def _fits(name: str, group: Group, terrain: Terrain) -> bool:
    offer = terrain.offers.get(name)
    return (
        offer is not None
        and group.kind in offer.kinds
        and ("codes" not in offer.needs or terrain.has_codes)
        and ("recipe" not in offer.needs or terrain.has_recipe)
        and ("slices" not in offer.needs or terrain.has_slices)
        and (UPDATE_LOG not in offer.needs or terrain.has_update_log)
        and ("head" not in offer.needs or terrain.has_head)
    )


def _is_seen_to_fail(name: str, group: Group, terrain: Terrain) -> bool:
    """Whether the rehearsal tells that this rung is wasted: for all such requests, or for this class."""
    rehearsal = terrain.rehearsal
    if rehearsal is None or _is_exact(name, terrain):
        return False
    if group.kind == "class":
        return experience.is_seen_to_fail(rehearsal, name, [CaseKind.CLASS]) or any(
            experience.is_seen_to_fail_on(rehearsal, name, label) for label in group.classes
        )
    return experience.is_seen_to_fail(rehearsal, name, [CaseKind.SAMPLES, CaseKind.MEMORISED])


def _parameters(group: Group, method: str, policy: Policy, terrain: Terrain) -> dict[str, Any]:
    """Return what the policy states of a method, else the setting that passed its rehearsals."""
    if method in policy.method_parameters:
        return {**policy.method_parameters[method]}
    if terrain.rehearsal is None or _is_exact(method, terrain) or len(group.classes) > 1:
        return {}
    if group.kind == "class":
        return {**experience.best_setting(terrain.rehearsal, method, CaseKind.CLASS, group.classes[0])}
    return {**experience.best_setting(terrain.rehearsal, method, CaseKind.SAMPLES)}


def _step(group: Group, method: str, policy: Policy, terrain: Terrain) -> Step:
    return Step(
        kind=group.kind,
        classes=group.classes,
        positions=group.positions,
        method=method,
        parameters=_parameters(group, method, policy, terrain),
    )


def _everything(assignment: Assignment, method: str, policy: Policy, terrain: Terrain) -> Step:
    kind = "class" if assignment.classes else "samples"
    whole = Group(kind=kind, classes=assignment.classes, positions=assignment.positions)
    return _step(whole, method, policy, terrain)
