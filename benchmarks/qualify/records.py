"""Writes what a trial found as a method's record, where `workers.unlearning.qualification` reads it.

A method has one file with one record for each family and kind of request; a new measurement takes the place
of the one before.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from benchmarks.qualify.populations import NETWORKS, Population
from benchmarks.qualify.trials import BAR, Trial, is_qualified
from workers.audit.comparison import Estimate
from workers.audit.verdict import SUITE
from workers.numerics.families import family_of
from workers.unlearning.base import Method

FOLDER = Path(__file__).resolve().parents[2] / "workers" / "unlearning" / "qualifications"
DIGITS = 4


def record(
    method: Method,
    population: Population,
    kind: str,
    trials: Sequence[Trial],
    nothing: Sequence[Trial],
    command: str,
) -> dict[str, Any]:
    """Return the record as JSON: the trials of a method, beside those of doing nothing."""
    return {
        "method_version": method.version,
        "family": family_of(population.build()).value,
        "kind": kind,
        "qualified": is_qualified(trials, nothing),
        "bar": BAR,
        "num_models": trials[0].standing.num_models,
        "network": NETWORKS[population.family],
        "data": "digits of scikit-learn" + ("" if kind == "class" else ", one label in twenty wrong"),
        "suite": SUITE,
        "command": command,
        "date": date.today().isoformat(),
        "torch": torch.__version__,
        "trials": [_of(trial) for trial in trials],
        "nothing": [_of(trial) for trial in nothing],
    }


def write(name: str, one: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Put a record into a method's file, in place of the one of the same family and kind."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.json"
    others = json.loads(file.read_text())["records"] if file.exists() else []
    place = (one["family"], one["kind"])
    kept = [each for each in others if (each["family"], each["kind"]) != place]
    ordered = sorted([*kept, one], key=lambda each: (each["family"], each["kind"]))
    file.write_text(json.dumps({"method": name, "records": ordered}, indent=2) + "\n")
    return file


def _of(trial: Trial) -> dict[str, Any]:
    stood = trial.standing
    return {
        "forget_set": trial.forget_set,
        "is_passed": trial.is_passed,
        "num_samples": trial.num_samples,
        "num_refused": trial.num_refused,
        "epsilon": _rounded(stood.epsilon),
        "null_epsilon": _rounded(stood.null_epsilon),
        "excess_epsilon": _estimate(stood.excess),
        "certified_epsilon": {
            "mean": _rounded(trial.certified),
            "num_above_zero": trial.num_certified,
            "most": _rounded(trial.most_certified),
        },
        "forgetting_score": _rounded(stood.forgetting),
        "null_forgetting_score": _rounded(stood.null_forgetting),
        "share_of_null": _estimate(stood.share),
        "final_score": _rounded(trial.final),
        "u_lira": {**_attack(trial.attack), "null": _attack(trial.null_attack)},
        "retained_ratio": _estimate(trial.retained_ratio),
        "test_ratio": _estimate(trial.test_ratio),
        "cost_share": _rounded(trial.cost),
    }


def _attack(attack: Any) -> dict[str, float]:
    found = dataclasses.asdict(attack)
    return {key: _rounded(found[key]) for key in ("mean", "low", "high", "highest")}


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {key: _rounded(value) for key, value in dataclasses.asdict(estimate).items()}


def _rounded(value: float) -> float:
    return round(value, DIGITS)
