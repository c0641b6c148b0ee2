"""Finds the checks by scanning a folder; the order of the folder is the order of the report."""

import importlib
import pkgutil
from typing import Protocol

from workers.audit.base import CheckResult, Gating
from workers.audit.errors import AuditError
from workers.audit.outputs import Outputs

CHECKS_PACKAGE = "workers.audit.checks"


class Check(Protocol):
    """One check: a file in `checks/` exposes one instance of this as CHECK."""

    @property
    def name(self) -> str:
        """Unique, lower case, the word used in reports."""
        ...

    @property
    def gating(self) -> Gating:
        """Which claims a failure refuses."""
        ...

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Judge the outputs; None if the check does not apply to this request.

        A pure function: the same outputs give the same result.
        """
        ...


def discover(package: str = CHECKS_PACKAGE, *more: str) -> dict[str, Check]:
    """Import every module of the packages and collect their CHECKs by name, sorted.

    Raises:
        AuditError: a module has no CHECK, or two modules claim one name.
    """
    found: dict[str, Check] = {}
    claimed_by: dict[str, str] = {}
    for folder in (package, *more):
        for module_name in _modules_in(folder):
            check = getattr(importlib.import_module(module_name), "CHECK", None)
            if check is None:
                raise AuditError(f"{module_name} must expose CHECK: a checks folder holds checks only")
            if check.name in found:
                raise AuditError(
                    f"{claimed_by[check.name]} and {module_name} both claim {check.name!r}: rename one"
                )
            found[check.name] = check
            claimed_by[check.name] = module_name
    return dict(sorted(found.items()))


def _modules_in(package: str) -> list[str]:
    folder = importlib.import_module(package)
    return sorted(f"{package}.{module.name}" for module in pkgutil.iter_modules(folder.__path__))
