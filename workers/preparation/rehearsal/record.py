"""What a rehearsal found, as a record that lies with a version: every try, and what follows from all of them.

A *try* is one method at one setting on one case, on a copy. Its outcome is the audit's verdict, or *refused*
where the method could not serve, or tuning samples found it wanting. A *setting* is the JSON of the
parameters that differ from the method's defaults. The kinds of cases are classes, ordinary samples, and
memorised ones: what is true of the second is seldom true of the third.

Pure, of the standard library alone: the planner, which computes nothing, reads it too. Round trip:
`Rehearsal.of_json(record.to_json()) == record`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class CaseKind(StrEnum):
    """What a rehearsal forgets."""

    CLASS = "class"
    SAMPLES = "samples"
    MEMORISED = "memorised"


class Outcome(StrEnum):
    """What became of a try."""

    PASSED = "pass"
    FAILED = "fail"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"


LOST = frozenset({Outcome.FAILED, Outcome.REFUSED})
"""Outcomes that speak against a method; an audit that could not tell speaks neither for nor against."""

Setting = Mapping[str, Any]


@dataclass(frozen=True)
class Try:
    """One method at one setting on one case.

    Attributes:
        kind: of the case.
        case: its name, which tells no sample: `class 3`, `samples 0`.
        label: the class; None for samples.
        num_samples: forgotten.
        method: its name.
        guarantee: what it claims.
        setting: what differs from the method's defaults.
        outcome: of the audit, or that there was nothing to audit.
        reason: code of a refusal, or the names of the checks that failed or could not tell.
        drop: of the accuracy on what was to be kept, as a share; None where nothing was measured.
        seconds: that the method took.
    """

    kind: CaseKind
    case: str
    label: int | None
    num_samples: int
    method: str
    guarantee: str
    setting: Setting
    outcome: Outcome
    reason: str
    drop: float | None
    seconds: float

    @property
    def key(self) -> tuple[str, str]:
        """Method and setting, as one can be compared."""
        return self.method, key_of(self.setting)


@dataclass(frozen=True)
class Rehearsal:
    """All that was rehearsed of one version.

    Attributes:
        suite: of the audits.
        weights_sha256: of the version.
        tries: in the order in which they were made.
        samples: processed so far: one a forward pass, three with the backward pass.
        budget: samples that may be.
        seconds: spent so far.
        is_complete: whether nothing is left to try, or to spend.
        left_out: what was not tried, and why, for a reader.
    """

    suite: str
    weights_sha256: str
    tries: tuple[Try, ...] = ()
    samples: int = 0
    budget: int = 0
    seconds: float = 0.0
    is_complete: bool = False
    left_out: tuple[str, ...] = field(default=())

    def tries_of(self, *kinds: CaseKind) -> tuple[Try, ...]:
        """Return the tries on cases of some kinds."""
        return tuple(one for one in self.tries if one.kind in kinds)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON."""
        return asdict(self)

    @classmethod
    def of_json(cls, record: Mapping[str, Any]) -> "Rehearsal":
        """Read what `to_json` gave; what a later release adds is passed over."""
        names = cls.__dataclass_fields__.keys()
        known = {name: value for name, value in record.items() if name in names}
        tries = tuple(_try_of(one) for one in record.get("tries", ()))
        return cls(**{**known, "tries": tries, "left_out": tuple(record.get("left_out", ()))})


def key_of(setting: Setting) -> str:
    """Return a setting as text that is the same whenever the setting is."""
    return json.dumps(dict(setting), sort_keys=True)


def _try_of(record: Mapping[str, Any]) -> Try:
    known = {name: value for name, value in record.items() if name in Try.__dataclass_fields__}
    return Try(**{**known, "kind": CaseKind(record["kind"]), "outcome": Outcome(record["outcome"])})
