"""Runs the whole audit: one forward pass of both models, every check, one verdict, one report."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workers.audit import registry
from workers.audit.base import AuditInput, CheckResult
from workers.audit.limits import Limits
from workers.audit.outputs import Progress, collect
from workers.audit.resurrection import curves
from workers.audit.resurrection.references import Judged
from workers.audit.summary import BIN_EDGES, Summary, referenced, summarise
from workers.audit.verdict import SUITE, Verdict, concerns, judge

FINITE = "finite"


@dataclass(frozen=True)
class Report:
    """All that the audit found.

    Attributes:
        verdict: the decision and what may be claimed.
        claimed: what the method claimed.
        checks: results in the order of the suite.
        gates: names of the checks that could refuse this claim.
        limits: thresholds that were in force.
        before: the base model in numbers; None if the new model's outputs are not finite.
        after: the new model in numbers; None likewise.
        reference: what the reference bank says of each group of samples that it knows; None without a bank.
        seconds: wall time of the audit.
        resurrections: what the probes found of each forgotten class; empty unless the claim is approximate.
    """

    verdict: Verdict
    claimed: str
    checks: tuple[CheckResult, ...]
    gates: frozenset[str]
    limits: Limits
    before: Summary | None
    after: Summary | None
    reference: Mapping[str, Any] | None
    seconds: float
    resurrections: tuple[Judged, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as the API shows it; every number in it is finite."""
        return {
            "suite": SUITE,
            "verdict": self.verdict.outcome.value,
            "guarantee": self.verdict.guarantee,
            "claimed": self.claimed,
            "checks": [self._check(result) for result in self.checks],
            "limits": asdict(self.limits),
            "before": self.before and self.before.to_json(),
            "after": self.after and self.after.to_json(),
            "histograms": {
                "quantity": "log odds of the true class",
                "bin_edges": [*BIN_EDGES],
                "before": self.before and self.before.histograms,
                "after": self.after and self.after.histograms,
            },
            "resurrection": curves.to_json(self.resurrections),
            "reference": self.reference,
            "seconds": self.seconds,
        }

    def _check(self, result: CheckResult) -> dict[str, Any]:
        return {
            "name": result.name,
            "value": result.value,
            "interval": None if result.low is None else [result.low, result.high],
            "threshold": result.threshold,
            "passed": result.passed,
            "is_decided": result.is_decided,
            "is_gate": result.name in self.gates and not result.is_outranked,
            "detail": result.detail,
        }


def audit(given: AuditInput, progress: Progress | None = None) -> Report:
    """Audit a candidate; deterministic for a seed.

    Args:
        given: the candidate, its base, and the samples.
        progress: told the fraction done, in [0, 1].

    Raises:
        AuditError: there is nothing to audit, or a limit is unknown.
        DatasetRowError: a row cannot be read.
    """
    started_at = time.perf_counter()
    outputs = collect(given, progress or (lambda fraction: None))
    checks = registry.discover()
    gating = {name: check.gating for name, check in checks.items()}
    is_finite = outputs.num_non_finite == 0 and outputs.weights.num_non_finite == 0
    running = [check for check in checks.values() if is_finite or check.name == FINITE]
    results = tuple(result for check in running if (result := check.run(outputs)) is not None)
    return Report(
        verdict=judge(results, gating, given.guarantee),
        claimed=given.guarantee,
        checks=results,
        gates=frozenset(name for name in gating if concerns(gating[name], given.guarantee)),
        limits=outputs.limits,
        before=summarise(outputs, is_new=False) if is_finite else None,
        after=summarise(outputs, is_new=True) if is_finite else None,
        reference=referenced(outputs) if is_finite else None,
        seconds=time.perf_counter() - started_at,
        resurrections=outputs.resurrections,
    )
