"""The floor plan holds: every import contract is kept, and every one of them can be broken."""

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("service", "workers", "lethe")
LINTER = "from importlinter.cli import lint_imports_command; lint_imports_command()"

OFFENCES = {
    "service-floors": ("service/core/clock.py", "import service.api.errors"),
    "service-computes-nothing": ("service/api/errors.py", "import numpy"),
    "kernel-floors": ("service/core/queue/repository.py", "import service.core.registry.service"),
    "kernel-has-no-web": ("service/core/errors.py", "import fastapi"),
    "workers-floors": ("workers/engine/client.py", "import workers.jobs.runner"),
    "workers-know-the-kernel": ("workers/jobs/runner.py", "import service.settings"),
    "numbers-know-no-world": ("workers/numerics/params.py", "import sqlalchemy"),
    "methods-stand-alone": ("workers/unlearning/methods/ssd.py", "import workers.unlearning.methods.retrain"),
    "checks-stand-alone": ("workers/audit/checks/no_op.py", "import workers.audit.checks.masking"),
    "command-line-starts-processes": ("lethe/stack.py", "import service.core.queue.doorbell"),
}
"""One import for each contract that it must refuse: where it is written, and what is written."""

HEAVY = ("torch", "torchvision", "numpy", "scipy", "celery", "kombu", "workers", "lethe")
IMPORT_ALL_OF_SERVICE = f"""
import pkgutil, sys, service
for module in pkgutil.walk_packages(service.__path__, "service."):
    __import__(module.name)
print(*sorted(set(sys.modules) & set({HEAVY!r})))
"""


def contracts() -> list[str]:
    settings = ConfigParser()
    settings.read(ROOT / ".importlinter")
    prefix = "importlinter:contract:"
    return [name.removeprefix(prefix) for name in settings.sections() if name.startswith(prefix)]


def lint(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LINTER, "--no-cache", "--no-logo", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


@pytest.fixture
def plan_copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_every_import_keeps_to_the_floor_plan() -> None:
    linted = lint(ROOT)

    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_every_contract_has_an_offence_that_proves_it() -> None:
    assert sorted(OFFENCES) == sorted(contracts())


@pytest.mark.parametrize("contract", contracts())
def test_a_contract_is_broken_by_its_offence(plan_copy: Path, contract: str) -> None:
    file, line = OFFENCES[contract]
    offender = plan_copy / file
    offender.write_text(f"{offender.read_text()}\n{line}\n")

    linted = lint(plan_copy, "--contract", contract)

    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert "BROKEN" in linted.stdout


def test_the_whole_service_runs_without_what_only_workers_need() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL_OF_SERVICE], cwd=ROOT, capture_output=True, text=True
    )

    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.split() == []
