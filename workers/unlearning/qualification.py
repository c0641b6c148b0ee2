"""Reads what was measured of a method: without such a record for a model's build, it counts as experimental.

A *record* tells how a method did in a trial of many models: N that forgot by it, against N that were
trained without the data, on one architecture family and for one kind of request. Records lie in
`qualifications/`, one JSON file a method, written by `python -m benchmarks.qualify --write`. They are
evidence and not praise: one that says `qualified: false` stays, with its numbers. A record speaks of one
version of a method; of a later one nothing is known.

Exact and certified methods need no record. What they claim follows from how the model was made, by training
without the data or by a proof, and no number of attacks that fail would add to it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from workers.unlearning.base import Guarantee, Json, Method
from workers.unlearning.errors import BrokenRecordError

FOLDER = "qualifications"
PROVEN = frozenset({Guarantee.EXACT, Guarantee.CERTIFIED})


@dataclass(frozen=True)
class Qualification:
    """One record.

    Attributes:
        method: name.
        method_version: of the method as it was measured.
        family: of the networks, one of `ArchitectureFamily`.
        kind: of the requests, one of `Kind`.
        num_models: a side.
        qualified: whether the bar was met on every forget set.
        date: of the measurement, ISO 8601.
    """

    method: str
    method_version: str
    family: str
    kind: str
    num_models: int
    qualified: bool
    date: str

    def to_json(self) -> dict[str, Json]:
        """Return what the catalogue shows of it."""
        return {
            "family": self.family,
            "kind": self.kind,
            "num_models": self.num_models,
            "qualified": self.qualified,
            "date": self.date,
        }


def records_of(method: Method, folder: Traversable | None = None) -> tuple[Qualification, ...]:
    """Return the records of a method in its present version; none if nobody measured it.

    Args:
        method: of the registry.
        folder: of the files; the package's own if None.

    Raises:
        BrokenRecordError: its file cannot be read.
    """
    file = (folder or resources.files("workers.unlearning") / FOLDER) / f"{method.name}.json"
    if not file.is_file():
        return ()
    found = read(method.name, file.read_text())
    return tuple(each for each in found if each.method_version == method.version)


def read(name: str, content: str) -> tuple[Qualification, ...]:
    """Read the records of a method from its file's content.

    Raises:
        BrokenRecordError: it is no JSON, of another method, or a field is missing.
    """
    try:
        written: Mapping[str, Any] = json.loads(content)
        if written["method"] != name:
            raise BrokenRecordError(f"expected records of {name}, got those of {written['method']!r}")
        return tuple(
            Qualification(
                method=name,
                method_version=str(each["method_version"]),
                family=str(each["family"]),
                kind=str(each["kind"]),
                num_models=int(each["num_models"]),
                qualified=each["qualified"] is True,
                date=str(each["date"]),
            )
            for each in written["records"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenRecordError(
            f"expected the qualification records of {name} as JSON with all fields, got {error!r}: write "
            "them anew by benchmarks.qualify"
        ) from error


def reservation(method: Method, family: str, kind: str, folder: Traversable | None = None) -> str | None:
    """Return what to say of a method that did not show itself fit for such models; None if there is nothing.

    Args:
        method: about to run.
        family: of the model's architecture.
        kind: of the request.
        folder: as for `records_of`.

    Raises:
        BrokenRecordError: its file cannot be read.
    """
    if method.guarantee in PROVEN:
        return None
    fitting = [each for each in records_of(method, folder) if (each.family, each.kind) == (family, kind)]
    if not fitting:
        return (
            f"Experimental: {method.name} has no qualification record for {family} models and "
            f"{kind} requests."
        )
    if not all(each.qualified for each in fitting):
        return (
            f"Experimental: {method.name} was measured on {family} models and {kind} requests, and did not "
            "qualify."
        )
    return None
