"""Runs rounds: traffic and faults, then rest, then the checker; and times how fast killed jobs come back.

Every choice is drawn from one seed, so that a campaign can be run again; what the machine makes of it, which
worker comes first to a step, cannot be.
"""

import contextlib
import math
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from benchmarks.chaos.checker import findings
from benchmarks.chaos.cluster import Cluster
from benchmarks.chaos.dooms import Dooms
from benchmarks.chaos.faults import FAULTS, Fault
from benchmarks.chaos.traffic import Traffic, register, sample_ids

REST_SECONDS = 180.0
WATCHERS = 4
"""Deaths whose recovery is timed at once."""
SECONDS_BETWEEN_REQUESTS = 0.15
TROUBLES = (DBAPIError, OSError, OperationalError, RedisError)
"""What a fault may meet that an earlier one left."""
NOT_AT_REST = (
    "SELECT (SELECT count(*) FROM jobs WHERE state IN ('ready', 'running')) "
    "+ (SELECT count(*) FROM ledger_entries WHERE leaf_index IS NULL) "
    "+ (SELECT count(*) FROM forget_requests WHERE status IN ('received', 'queued', 'running', 'auditing'))"
)


@dataclass
class Outcome:
    """What a campaign found.

    Attributes:
        rounds: after each of which the checker looked.
        kills: processes that were killed.
        faults: how often each fault struck.
        recoveries: seconds from a worker's death until its job was somebody else's or ready again, those
            without a database left out.
        findings: what was broken, one sentence each.
        num_requests: that were accepted.
        num_versions: that were published by runs.
    """

    rounds: int = 0
    kills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    num_requests: int = 0
    num_versions: int = 0


def run(
    cluster: Cluster,
    *,
    seed: int,
    num_models: int,
    num_kills: int,
    kills_a_round: int,
    seconds: float = math.inf,
) -> Outcome:
    """Make a cluster suffer until so many processes were killed, and return what that broke.

    A round that has begun when the seconds are over is ended, with its look of the checker.
    """
    outcome, random, ends_at = Outcome(), Random(seed), time.monotonic() + seconds
    watchers = ThreadPoolExecutor(WATCHERS)
    Dooms(cluster.dooms_folder).create()
    cluster.open()
    engine = create_engine(cluster.database_url, pool_pre_ping=True)
    traffic = Traffic(cluster, [], sample_ids(), seed, SECONDS_BETWEEN_REQUESTS)
    try:
        while outcome.kills < num_kills and not outcome.findings and time.monotonic() < ends_at:
            outcome.rounds += 1
            # Models of its own, for a model that has forgotten nearly all of its data does no more work.
            traffic.models = [f"model-{outcome.rounds}-{number}" for number in range(num_models)]
            register(cluster, traffic.models)
            _await_rest(engine)
            traffic.resume()
            wanted = min(num_kills, outcome.kills + kills_a_round)
            while outcome.kills < wanted:
                _strike(
                    random.choices(FAULTS, [each.weight for each in FAULTS])[0],
                    cluster,
                    random,
                    engine,
                    outcome,
                    watchers,
                )
            traffic.pause()
            outcome.findings += _await_rest(engine) or findings(
                engine, cluster.folder / "store", traffic.promises
            )
            outcome.findings += traffic.refusals
    finally:
        watchers.shutdown()
        traffic.close()
        outcome.num_requests = len(traffic.promises)
        outcome.num_versions = _count(engine, "SELECT count(*) FROM versions WHERE run_id IS NOT NULL")
        engine.dispose()
        cluster.close()
    outcome.findings += [f"process {pid} outlived the cluster" for pid in cluster.orphans()]
    return outcome


def _strike(
    fault: Fault,
    cluster: Cluster,
    random: Random,
    engine: Engine,
    outcome: Outcome,
    watchers: ThreadPoolExecutor,
) -> None:
    killed = []
    with contextlib.suppress(*TROUBLES):
        killed = fault.strike(cluster, random)
        outcome.faults[fault.name] += 1
    if killed or fault.name.endswith("killed"):
        outcome.kills += max(1, len(killed))
    for pid in killed:
        watchers.submit(_watch, engine, pid, cluster.lease_seconds, outcome)


def _watch(engine: Engine, pid: int, lease_seconds: float, outcome: Outcome) -> None:
    seconds = _recovered(engine, pid, lease_seconds)
    if seconds is not None:
        outcome.recoveries.append(seconds)


def _recovered(engine: Engine, pid: int, lease_seconds: float) -> float | None:
    """Return how long the job of a dead worker took to leave it; None if it held none.

    Time in which the database could not be asked does not count: nothing can come back meanwhile.
    """
    died_at = looked_at = time.monotonic()
    query = text("SELECT count(*) FROM jobs WHERE state = 'running' AND owner LIKE :owner")
    held, away = False, 0.0
    while time.monotonic() < died_at + away + 10 * lease_seconds:
        try:
            with engine.connect() as connection:
                is_held = bool(connection.scalar(query, {"owner": f"%:{pid}"}))
        except DBAPIError:
            away += time.monotonic() - looked_at
        else:
            if not is_held:
                return time.monotonic() - died_at - away if held else None
            held = True
        looked_at = time.monotonic()
        time.sleep(0.02)
    return time.monotonic() - died_at - away


def _await_rest(engine: Engine) -> list[str]:
    """Wait until nothing is left to do; return what is wrong if that takes too long."""
    give_up_at, calm = time.monotonic() + REST_SECONDS, 0
    left = -1
    while time.monotonic() < give_up_at:
        with contextlib.suppress(DBAPIError):
            left = _count(engine, NOT_AT_REST)
            calm = calm + 1 if left == 0 else 0
            if calm == 3:
                return []
        time.sleep(0.2)
    return [f"after {REST_SECONDS:g} s of rest {left} jobs, entries or requests were still waiting"]


def _count(engine: Engine, query: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text(query)) or 0)


def ratios(outcome: Outcome, lease_seconds: float) -> Sequence[float]:
    """Return the recovery times as shares of a lease, ascending."""
    return sorted(seconds / lease_seconds for seconds in outcome.recoveries)
