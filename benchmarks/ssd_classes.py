"""Forgetting classes by dampening: on which networks, one or several, by which importance; beside one-shot.

A_R is the accuracy on test samples of the remaining classes, E_F the error on the worst forgotten class;
neither method, nor its choices, nor the audit read the test split.
"""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.ssd_digits import NETWORKS, NUM_CLASSES, RELAPSE_RATES, Bench, digits
from workers.audit.base import ForgetGroup
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params
from workers.preparation.prepared import Prepared, prepare
from workers.unlearning import registry, run
from workers.unlearning.base import ForgetProblem, Kind
from workers.unlearning.dampening import Shares
from workers.unlearning.errors import UnlearningError
from workers.unlearning.judges import ClassJudge
from workers.unlearning.methods import ssd
from workers.unlearning.methods.ssd import SsdParameters
from workers.unlearning.trials import search

STALE, AT_ONCE, ANEW = "in sequence, as kept", "at once", "in sequence, taken anew"
NUM_GROUPS = 4  # of two and of three classes, a seed
IMPORTANCES = ("per_sample", "batch", "label_free")


@dataclass(frozen=True)
class Row:
    """One outcome: of which way, A_R, E_F of the worst class, verdict, seconds, E_F after fine-tuning."""

    way: str
    retained: float
    error: float
    has_passed: bool
    seconds: float
    relapses: tuple[float, ...] = ()


def by_network(name: str, seeds: range, labels: range, device: str) -> Iterator[Row]:
    """Yield what dampening and one-shot make of each class of each seed's model."""
    methods = registry.discover()
    for bench, base, made in _benches(name, seeds, device):
        for label in labels:
            for way in ("ssd", "one_shot"):
                problem = problem_of(bench, base, made, (label,))
                started_at = time.perf_counter()
                try:
                    params = run.forget(methods[way], problem).params
                except UnlearningError as error:
                    print(f"{name} {way} seed {bench.seed} class {label}: {error.code}")
                    params = base
                seconds = time.perf_counter() - started_at
                yield outcome(bench, base, params, problem, way, seconds, has_relapse=True)


def by_number(name: str, seeds: range, sizes: Sequence[int], device: str) -> Iterator[tuple[int, Row]]:
    """Yield the outcomes of forgetting several classes, in three ways, with their number."""
    for bench, base, made in _benches(name, seeds, device):
        for size in sizes:
            for classes in groups(size, bench.seed):
                problem = problem_of(bench, base, made, classes)
                for way in (STALE, AT_ONCE, ANEW):
                    started_at = time.perf_counter()
                    params = _several(way, bench, problem)
                    seconds = time.perf_counter() - started_at
                    yield size, outcome(bench, base, params, problem, way, seconds)


def by_importance(name: str, seeds: range, labels: range, device: str) -> Iterator[Row]:
    """Yield what each importance makes of each class; with searched strength, and with the paper's."""
    for bench, base, made in _benches(name, seeds, device):
        for label in labels:
            problem = problem_of(bench, base, made, (label,))
            for importance in IMPORTANCES:
                searched = SsdParameters(importance=importance)
                paper = dataclasses.replace(searched, alpha=10.0, dampening=1.0)
                for way, parameters in ((importance, searched), (f"{importance}, alpha 10 lambda 1", paper)):
                    started_at = time.perf_counter()
                    try:
                        params = run.forget(ssd.METHOD, problem, parameters).params
                    except UnlearningError:
                        params = base  # nothing exceeds the alpha
                    seconds = time.perf_counter() - started_at
                    yield outcome(bench, base, params, problem, way, seconds)


def groups(size: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Yield the groups of classes to forget: each class alone, or a few groups."""
    if size == 1:
        yield from ((label,) for label in range(NUM_CLASSES))
        return
    random = np.random.RandomState(seed)
    for _ in range(NUM_GROUPS):
        yield tuple(sorted(int(label) for label in random.choice(NUM_CLASSES, size, replace=False)))


def problem_of(bench: Bench, params: Params, made: Prepared, classes: tuple[int, ...]) -> ForgetProblem:
    """Return the problem as a worker would pose it."""
    forget = bench.samples("train", classes)
    return ForgetProblem(
        build=bench.network.build,
        params=params,
        num_classes=NUM_CLASSES,
        kind=Kind.CLASS,
        classes=classes,
        forget=forget,
        retain=bench.without(forget),
        tuning=bench.tuning,
        codes=made.codes,
        code_information=made.code_information,
        class_information=made.class_information,
        recipe=bench.recipe.to_json(),
        seed=bench.seed,
        device=bench.device,
    )


def outcome(
    bench: Bench,
    base: Params,
    params: Params,
    problem: ForgetProblem,
    way: str,
    seconds: float,
    *,
    has_relapse: bool = False,
) -> Row:
    """Measure one forgotten model on the test split, and audit it."""
    remaining = bench.samples("test", problem.remaining_classes)

    def error(of: Params) -> float:
        return 1 - max(bench.accuracy(of, bench.samples("test", (label,))) for label in problem.classes)

    verdict = bench.verdict(base, params, ForgetGroup("class", problem.classes, problem.forget))
    relapses = [error(bench.tuned(params, problem.retain, rate)) for rate in RELAPSE_RATES if has_relapse]
    return Row(
        way, bench.accuracy(params, remaining), error(params), verdict == "pass", seconds, tuple(relapses)
    )


def _benches(name: str, seeds: range, device: str) -> Iterator[tuple[Bench, Params, Prepared]]:
    for seed in seeds:
        bench = Bench(NETWORKS[name], digits(), seed, device)
        base = bench.trained()
        yield bench, base, prepare(bench.network.build, base, bench.source, bench.recipe)


def _several(way: str, bench: Bench, problem: ForgetProblem) -> Params:
    if way == STALE:
        return run.forget(ssd.METHOD, problem).params
    if way == AT_ONCE:
        return _at_once(problem)
    params, gone = problem.params, np.empty(0, dtype=np.int64)
    for done, label in enumerate(problem.classes):
        earlier = problem.classes[:done]
        known = [c for c in range(NUM_CLASSES) if c not in earlier]
        made = prepare(bench.network.build, params, bench.source, bench.recipe, excluded=gone, classes=known)
        alone = dataclasses.replace(
            problem_of(bench, params, made, (label,)), forgotten_classes=earlier, retain=problem.retain
        )
        params = run.forget(ssd.METHOD, alone).params
        gone = np.union1d(gone, alone.forget.positions)
    return params


def _at_once(problem: ForgetProblem) -> Params:
    """Dampen by the joint share of all the classes, the strength chosen as for one."""
    information = problem.class_information
    assert information is not None
    joint, num_joint = _joint(information, problem.classes)
    others = {n: t.float() for n, t in information.without(problem.classes).items()}
    shares = Shares.of(joint, num_joint, others, information.num_samples - num_joint)
    grid = [shares.strength(r, d) for r in ssd.CLASS_RHOS for d in ssd.CLASS_DAMPENINGS]
    ranked = search(shares, problem.params, grid, ClassJudge.of(problem, problem.classes))
    return shares.dampen(problem.params, ranked[0].strength)


def _joint(information: ClassInformation, classes: Sequence[int]) -> tuple[Params, int]:
    """Return the mean Fisher of several classes together, and the number of their samples."""
    total = sum(information.counts[label] for label in classes)
    weighted = [
        {n: information.counts[label] / total * t for n, t in information.fetch(label).items()}
        for label in classes
    ]
    return {n: torch.stack([each[n] for each in weighted]).sum(0) for n in weighted[0]}, total
