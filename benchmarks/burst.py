"""One run serves many: a burst of requests for one model against the fewest, and a burst for many models.

    python -m benchmarks.burst [--small] [--strict] [--requests N] [--repeats N] [--models N] [--workers N]
                               [--steps N] [--affinity SECONDS]

*One model.* N requests, a tenth of which name a class and the others a sample each, every sample three times,
against two requests for the same class and the same samples; in turn, each on a model of its own. Time runs
from the release (`burst_stage`) until the last request is completed.

*Many models.* A few requests for each, due in an order of their own, released together; when some are served
an overdue request comes for the model that was due last. Workers are *busy* while a job runs; what is
*possible* is one job a worker and a model, of those that may run at that moment. A model's *fair wait* is the
time that the workers need for the runs of those due before it.

*Order.* The model due first is to be claimed first. A pair is *out of order* if the one due later was claimed
while the other was ready, and that one then waited until a worker came free: two that are claimed by two idle
workers at once cost each other nothing. A worker may pass over a model for one that it has in memory, but for
no longer than its affinity allows: a pair out of order by less is *passed over*, by more an *inversion*.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from itertools import combinations
from math import comb
from pathlib import Path
from random import Random

from benchmarks.burst_stage import LOOK_SECONDS, Claim, Look, Stage
from benchmarks.cpu import seconds_below
from service.core import clock
from service.core.requests.intake import Target
from service.core.requests.models import TargetKind
from workers.numerics.datasets.registry import open_source
from workers.preparation.recipe import TrainingRecipe

CLASS = 3
REQUESTS_A_SAMPLE = 3
REQUESTS_A_MODEL = 4
SEED = 1
LONG_AGO = timedelta(days=32)

GOAL_RATIO, GOAL_VERSIONS, GOAL_BUSY, GOAL_INVERSIONS, GOAL_WAIT, GOAL_OVERTOOK = 1.5, 2, 0.9, 0, 2.0, 1


def main() -> None:
    """Measure both bursts; print a table and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help="100 requests, 1 repeat, 6 models")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    parser.add_argument("--requests", type=int, default=1000, help="for one model")
    parser.add_argument("--repeats", type=int, default=5, help="of either side")
    parser.add_argument("--models", type=int, default=50, help="of the second burst")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--steps", type=int, default=300, help="of each model's training")
    parser.add_argument(
        "--affinity", type=float, default=1.0, help="seconds that a model at hand may go first"
    )
    asked = parser.parse_args()
    if asked.small:
        asked.requests, asked.repeats, asked.models = 100, 1, 6
    folder = Path(tempfile.mkdtemp(prefix="lethe-burst-"))
    recipe = TrainingRecipe(steps=asked.steps, batch_size=32, learning_rate=0.1)
    os.environ["LETHE_AFFINITY_SECONDS"] = str(asked.affinity)  # which the workers inherit
    stage = Stage(folder, asked.workers, recipe)
    try:
        is_missed = one_model(stage, asked.requests, asked.repeats)
        is_missed |= many_models(stage, asked.models, asked.workers, asked.affinity)
    finally:
        stage.close()
        shutil.rmtree(folder)
    sys.exit(1 if is_missed and asked.strict else 0)


def one_model(stage: Stage, num_requests: int, repeats: int) -> bool:
    """Print what many requests take against two of the same size; return whether a goal was missed."""
    many, few = targets(num_requests)
    names = [f"{side}-{turn}" for turn in range(repeats) for side in ("many", "few")]
    warm_up(stage, few)
    models = dict(zip(names, stage.models(names), strict=True))
    seconds: dict[str, list[float]] = {"many": [], "few": []}
    computed: dict[str, list[float]] = {"many": [], "few": []}
    versions, uncertified = [], 0
    for name, model_id in models.items():
        side = name.split("-")[0]
        asked = many if side == "many" else few
        stage.receive(name, asked)
        stage.settle()
        cpu = seconds_below()
        began = stage.release([model_id])
        stage.await_completed([model_id])
        seconds[side].append(time.monotonic() - began)
        computed[side].append(seconds_below() - cpu)
        stage.rest()
        if side == "many":
            versions.append(stage.num_versions(model_id))
        uncertified += len(asked) - stage.num_certified(model_id)
        took = f"{seconds[side][-1]:>8.2f} s {computed[side][-1]:>8.2f} s of CPU"
        print(f"{name:<10}{len(asked):>6} requests {took}", flush=True)
    ratios = [a / b for a, b in zip(seconds["many"], seconds["few"], strict=True)]
    middle = statistics.median(seconds["many"]) / statistics.median(seconds["few"])
    each = (statistics.median(seconds["many"]) - statistics.median(seconds["few"])) / num_requests
    print(f"{1e3 * each:.2f} ms more for each further request; intervals are the extremes of the pairs")
    of_cpu = statistics.median(computed["many"]) - statistics.median(computed["few"])
    print(f"{1e3 * of_cpu / num_requests:.2f} ms of CPU more for each, in all processes together")
    missed = figure("burst_time_ratio", middle, ratios, "ratio", "<=", GOAL_RATIO)
    missed |= figure("burst_versions", max(versions), versions, "versions", "<=", GOAL_VERSIONS)
    missed |= figure("burst_uncertified", uncertified, [uncertified], "requests", "<=", 0)
    return missed


def warm_up(stage: Stage, asked: Sequence[Target]) -> None:
    """Have every worker serve a run, which compiles what its later ones have compiled."""
    names = [f"warm-up-{number}" for number in range(stage.num_workers)]
    ids = stage.models(names)
    for name in names:
        stage.receive(name, asked)
    stage.release(ids)
    stage.await_completed(ids)
    stage.rest()


def many_models(stage: Stage, num_models: int, num_workers: int, affinity_seconds: float) -> bool:
    """Print how a burst for many models is shared out; return whether a goal was missed."""
    random = Random(SEED)
    names = [f"model-{number}" for number in range(num_models)]
    models = dict(zip(names, stage.models(names), strict=True))
    order = random.sample(names, num_models)
    for place, name in enumerate(order):
        submitted_at = clock.now() - timedelta(hours=num_models - place)
        stage.receive(name, targets(REQUESTS_A_MODEL)[0], submitted_at)
    ids = [*models.values()]
    stage.settle()
    released_at = clock.now().timestamp()
    stage.release(ids)
    seen, last = [stage.look(ids)], order[-1]
    while seen[-1].open > 0.75 * REQUESTS_A_MODEL * num_models:
        time.sleep(LOOK_SECONDS)
        seen.append(stage.look(ids))
    stage.receive(last, targets(1)[1][:1], clock.now() - LONG_AGO)
    posted_at = clock.now().timestamp()
    seen += stage.await_completed(ids)
    stage.rest()
    claims = stage.claims(ids)

    begun = {claim.model_id: claim.claimed_at for claim in claims}
    overtook = sum(posted_at < start < begun[models[last]] for start in begun.values())
    dated = [models[name] for name in order[:-1]]
    waited = out_of_order(claims, dated, released_at)
    inverted = sum(seconds > affinity_seconds for seconds in waited)
    waits = fair_waits(claims, released_at, num_workers)
    busy, possible = shares(seen, num_workers)
    print(f"{num_models} models, {num_workers} workers, {len(seen)} looks, affinity {affinity_seconds:g} s")
    print(f"{len(waited) - inverted} of {comb(len(dated), 2)} pairs were passed over")
    missed = figure("burst_workers_busy", busy / possible, [busy / possible], "share", ">=", GOAL_BUSY)
    missed |= figure("burst_order_inversions", inverted, [inverted], "pairs", "<=", GOAL_INVERSIONS)
    missed |= figure("burst_overdue_overtaken", overtook, [overtook], "models", "<=", GOAL_OVERTOOK)
    missed |= figure("burst_longest_wait", max(waits), waits, "ratio", "<=", GOAL_WAIT)
    return missed


def targets(num_requests: int) -> tuple[list[Target], list[Target]]:
    """Return the targets of so many requests, shuffled, and the same class and samples in two."""
    manifest = open_source({"source": "digits"}).manifest
    others = [int(place) for place in manifest.positions("train") if manifest.labels[place] != CLASS]
    for_class = max(1, num_requests // 10)
    for_samples = max(1, num_requests - for_class)
    chosen = [str(manifest.sample_ids[place]) for place in others[: -(-for_samples // REQUESTS_A_SAMPLE)]]
    many = [Target(TargetKind.CLASS, classes=(CLASS,)) for _ in range(for_class)]
    many += [
        Target(TargetKind.SAMPLES, sample_ids=(chosen[number % len(chosen)],))
        for number in range(for_samples)
    ]
    few = [
        Target(TargetKind.SAMPLES, sample_ids=tuple(chosen)),
        Target(TargetKind.CLASS, classes=(CLASS,)),
    ]
    return Random(SEED).sample(many, len(many)), few


def shares(seen: Sequence[Look], num_workers: int) -> tuple[int, int]:
    """Return how many jobs ran and how many could have, summed over the looks, while requests were open."""
    looks = [look for look in seen if look.open]
    possible = sum(min(num_workers, look.running + look.waiting) for look in looks)
    return sum(min(num_workers, look.running) for look in looks), max(1, possible)


def out_of_order(claims: Sequence[Claim], by_due: Sequence[uuid.UUID], released_at: float) -> list[float]:
    """Return, for each pair out of order, how long the one due first had waited at the other's claim."""
    claimed_at = {claim.model_id: claim.claimed_at for claim in claims}
    ends = [claim.ended_at for claim in claims]
    return [
        claimed_at[later] - released_at
        for sooner, later in combinations(by_due, 2)
        if any(claimed_at[later] < end <= claimed_at[sooner] for end in ends)
    ]


def fair_waits(claims: Sequence[Claim], released_at: float, num_workers: int) -> list[float]:
    """Return each model's wait as a multiple of its fair one; the first of each worker's have none."""
    waits = []
    for place, claim in enumerate(claims):
        work_before = sum(before.ended_at - before.claimed_at for before in claims[:place])
        if place >= num_workers and work_before:
            waits.append((claim.claimed_at - released_at) / (work_before / num_workers))
    return waits or [0.0]


def figure(name: str, value: float, values: Sequence[float], unit: str, sign: str, goal: float) -> bool:
    """Print one figure with its extremes; return whether it misses its goal."""
    print(
        f"figure {name} value={value:.3f} low={min(values):.3f} high={max(values):.3f} unit={unit} "
        f"goal={sign} {goal:g}",
        flush=True,
    )
    return value > goal if sign == "<=" else value < goal


if __name__ == "__main__":
    main()
