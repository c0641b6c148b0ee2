"""Plans a run: which methods try, in which order. Pure: rows in, rungs out.

The order of thought: (1) a model that trains within its exact budget is retrained at once, unless a request
asks for a method by name; (2) else each kind of request has its ladder, the method asked for first; (3) rung
after rung is tried until the audit passes one; exact retraining serves both kinds in a single step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from service.core.registry.policy import Policy
from service.core.requests.runs import Assignment
from workers.engine.messages import Group, Step

AUTO = "auto"
EXACT = "exact"


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
        training_seconds: Measured cost of training it once.
    """

    offers: Mapping[str, Offer]
    has_codes: bool
    has_recipe: bool
    training_seconds: float | None


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
    groups = groups_of(assignment)
    columns = [_methods_for(group, assignment, policy, terrain) for group in groups]
    if not columns or not all(columns):
        return []
    rungs: list[tuple[Step, ...]] = []
    for row in zip_longest(*columns):
        names = [name or column[-1] for name, column in zip(row, columns, strict=True)]
        exact = next((name for name in names if terrain.offers[name].guarantee == EXACT), None)
        rung = (
            (_everything(assignment, exact, policy),)
            if exact is not None
            else tuple(_step(group, name, policy) for group, name in zip(groups, names, strict=True))
        )
        if rung not in rungs:
            rungs.append(rung)
    return rungs


def _methods_for(group: Group, assignment: Assignment, policy: Policy, terrain: Terrain) -> list[str]:
    is_class = group.kind == "class"
    asked = assignment.class_method if is_class else assignment.samples_method
    climb: Sequence[str] = policy.class_ladder if is_class else policy.samples_ladder
    names = [asked, *climb] if asked != AUTO else [*_exact_first(policy, terrain), *climb]
    fitting = [name for name in dict.fromkeys(names) if _fits(name, group, terrain)]
    first_exact = next(
        (index for index, name in enumerate(fitting) if terrain.offers[name].guarantee == EXACT), None
    )
    return fitting if first_exact is None else fitting[: first_exact + 1]


def _exact_first(policy: Policy, terrain: Terrain) -> list[str]:
    cost = terrain.training_seconds
    if cost is None or cost > policy.exact_budget_seconds:
        return []
    return sorted(name for name, offer in terrain.offers.items() if offer.guarantee == EXACT)[:1]


def _fits(name: str, group: Group, terrain: Terrain) -> bool:
    offer = terrain.offers.get(name)
    return (
        offer is not None
        and group.kind in offer.kinds
        and ("codes" not in offer.needs or terrain.has_codes)
        and ("recipe" not in offer.needs or terrain.has_recipe)
    )


def _step(group: Group, method: str, policy: Policy) -> Step:
    return Step(
        kind=group.kind,
        classes=group.classes,
        positions=group.positions,
        method=method,
        parameters=policy.method_parameters.get(method, {}),
    )


def _everything(assignment: Assignment, method: str, policy: Policy) -> Step:
    kind = "class" if assignment.classes else "samples"
    whole = Group(kind=kind, classes=assignment.classes, positions=assignment.positions)
    return _step(whole, method, policy)
