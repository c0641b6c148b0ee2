"""How fast forget requests are taken in, durably: as a share of what PostgreSQL can do for the same writes.

    python -m benchmarks.intake [--small] [--strict]

One API process as `lethe up` starts it takes `POST /v1/forget-requests` from `wrk` with 16 connections. The
floor is pgbench with 16 clients, prepared statements and one transaction a request that does the same writes:
idempotency key, request, two ledger entries, the join of the waiting job, and the bell. Both run in turn, A B
A B, on the same server with fsync on; a share is taken within each turn. That both write the same rows is
counted in the tables first, not taken on trust. Told beside it: what a bare route of the same
server answers (the ceiling of the generator), a target list of 100,000 ids, 1,000 requests in one call, and
the memory of the API after each of several equal rounds of all that. The first rounds may grow: a call of
100,000 ids is tens of megabytes of small objects, and the interpreter's arenas take some rounds to settle. A
leak goes on growing, so what counts is the last round.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psycopg

from benchmarks.front_door import DATABASE, MODEL, FrontDoor, front_door, sample_id
from lethe.embedded.postgres import SOCKET_PORT, binary

PATH = "/v1/forget-requests"
CONNECTIONS = 16
GOAL_SHARE = 0.35
GOAL_TARGETS = 20_000
GOAL_GROWTH_BYTES = 16 << 20
BULK_SAMPLES = 100_000
BULK_REQUESTS = 1000
TABLES = ("idempotency_keys", "forget_requests", "ledger_entries", "jobs")

FLOOR = """
BEGIN;
{key}
INSERT INTO forget_requests (id, model_id, principal, status, reason, kind, classes, positions, num_samples,
  method, ground, submitted_at, received_at, due_at, correlation_id)
  VALUES (uuidv7(), '{model}', 'admin', 'queued', NULL, '{kind}', '{classes}', {positions}, {num_samples},
  'auto', NULL, now(), now(), now() + interval '1 month', repeat('a', 32));
INSERT INTO ledger_entries (entry, request_id) VALUES (convert_to(repeat('x', 330), 'UTF8'), uuidv7());
INSERT INTO ledger_entries (entry, request_id) VALUES (convert_to(repeat('x', 150), 'UTF8'), uuidv7());
INSERT INTO jobs (id, model_id, kind, state, created_at)
  VALUES (uuidv7(), '{model}', 'unlearn', 'ready', now())
  ON CONFLICT (model_id, kind) WHERE state = 'ready' AND attempts = 0 DO NOTHING;
SELECT id FROM jobs WHERE model_id = '{model}' AND kind = 'unlearn' AND state = 'ready' AND attempts = 0
  FOR SHARE;
SELECT pg_notify('lethe_jobs', 'b5f7a3be-82dd-458b-9023-f5aac74d5998');
COMMIT;
"""
FLOOR_KEY = """
INSERT INTO idempotency_keys (principal, key, fingerprint, request_id, created_at)
  VALUES ('admin', uuidv7()::text, repeat('a', 64), uuidv7(), now())
  ON CONFLICT DO NOTHING RETURNING request_id;
"""
LOAD = """
local made = 0
request = function()
  made = made + 1
  {key}
  local n = (made * 7919) % {num_samples}
  return wrk.format("POST", "{path}", wrk.headers, {body})
end
"""
REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("result %d %d %d %d %d\\n", summary.requests, summary.duration,
    e.status + e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""
KEYED = 'wrk.headers["Idempotency-Key"] = "{tag}-" .. made'


@dataclass(frozen=True)
class Case:
    """One kind of request: what callers send, and what the floor writes for it."""

    name: str
    body: str
    has_key: bool
    kind: str
    classes: str
    positions: str
    num_samples: int


CLASS_BODY = """string.format('{"model":"MODEL","target":{"kind":"class","classes":[%d]}}', n % 10)"""
SAMPLE_BODY = (
    """string.format('{"model":"MODEL","target":{"kind":"samples","sample_ids":["sample/%07d"]}}', n)"""
)
CASES = (
    Case("class", CLASS_BODY, False, "class", "{3}", "NULL", 10_000),
    Case("class, key", CLASS_BODY, True, "class", "{3}", "NULL", 10_000),
    Case("sample", SAMPLE_BODY, False, "samples", "{}", "'{17}'", 1),
    Case("sample, key", SAMPLE_BODY, True, "samples", "{}", "'{17}'", 1),
)


@dataclass(frozen=True)
class Measured:
    """What a generator saw: answers a second, latencies, and answers that were none."""

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int = 0


def main() -> None:
    """Measure, print the tables and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help="two turns of two seconds")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    asked = parser.parse_args()
    turns, seconds, rounds = (2, 2, 4) if asked.small else (5, 4, 10)
    if shutil.which("wrk") is None:
        sys.exit("The load comes from wrk, which is not on PATH. Install it (Debian: apt-get install wrk).")
    with (
        tempfile.TemporaryDirectory(prefix="intake-") as folder,
        front_door(Path(folder), BULK_SAMPLES) as door,
    ):
        is_met = measure(door, turns, seconds, rounds)
    sys.exit(1 if asked.strict and not is_met else 0)


def measure(door: FrontDoor, turns: int, seconds: int, rounds: int) -> bool:
    """Print everything; return whether every goal was met."""
    _same_rows(door)
    _load(door, CASES[0], 1)  # warm
    ceiling = _wrk(door, REPORT, seconds, "/livez")
    print(f"\na bare route of the same server, wrk -c{CONNECTIONS}: {ceiling.per_second:,.0f} a second")
    print(f"\n{'case':<12} {'ours/s':>8} {'p50 ms':>7} {'p99 ms':>7} {'floor/s':>8} {'p99 ms':>7}  share")
    shares, all_ours, all_floors = [], [], []
    is_met = True
    for case in CASES:
        ours, floors = [], []
        for _ in range(turns):
            ours.append(_load(door, case, seconds))
            floors.append(_floor(door, case, seconds))
        own = [a.per_second / b.per_second for a, b in zip(ours, floors, strict=True)]
        shares += own
        all_ours, all_floors = all_ours + ours, all_floors + floors
        print(
            f"{case.name:<12} {_median(ours, 'per_second'):>8,.0f} {_median(ours, 'p50_ms'):>7.1f} "
            f"{_median(ours, 'p99_ms'):>7.1f} {_median(floors, 'per_second'):>8,.0f} "
            f"{_median(floors, 'p99_ms'):>7.1f}  {np.median(own):.3f} [{min(own):.3f}, {max(own):.3f}]"
        )
        if errors := sum(each.errors for each in ours):
            is_met = False
            print(f"{'':<12} {errors} answers were errors")
    is_met &= _figure("intake_share_of_pgbench", shares, "ratio", ">=", GOAL_SHARE)
    print(
        f"\n{CONNECTIONS} callers: one answer in a hundred takes over {_median(all_ours, 'p99_ms'):.0f} ms, "
        f"of pgbench's transactions over {_median(all_floors, 'p99_ms'):.0f} ms; each answer is durable"
    )
    alone = [_load(door, CASES[3], 1, connections=1) for _ in range(turns)]
    print(f"\none caller alone: p50 {_median(alone, 'p50_ms'):.1f} ms, p99 {_median(alone, 'p99_ms'):.1f} ms")
    is_met &= _bulk(door, turns)
    return _memory(door, rounds) and is_met


def _memory(door: FrontDoor, rounds: int) -> bool:
    """Measure the API's memory after each of several equal rounds."""
    sizes = [door.resident_bytes()]
    for _ in range(rounds):
        for case in CASES:
            _load(door, case, 1)
        _seconds(door, PATH, _asked(range(BULK_SAMPLES)))
        sizes.append(door.resident_bytes())
    told = ", ".join(f"{size / 2**20:.0f}" for size in sizes)
    print(f"\nmemory of the API before and after each of {rounds} equal rounds: {told} MiB")
    return _figure("intake_memory_growth", [sizes[-1] - sizes[-2]], "bytes", "<=", GOAL_GROWTH_BYTES)


def _load(door: FrontDoor, case: Case, seconds: int, connections: int = CONNECTIONS) -> Measured:
    """Let callers ask for a while; each sends its next request when it has its answer."""
    script = LOAD.format(
        key=KEYED.format(tag=uuid.uuid4().hex) if case.has_key else "",
        num_samples=door.num_samples,
        path=PATH,
        body=case.body.replace("MODEL", MODEL),
    )
    return _wrk(door, script + REPORT, seconds, PATH, connections)


def _wrk(door: FrontDoor, script: str, seconds: int, path: str, connections: int = CONNECTIONS) -> Measured:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        headers = [f"{name}: {value}" for name, value in door.headers.items()]
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "10", "-s", file.name]
        command += [
            part for header in (*headers, "Content-Type: application/json") for part in ("-H", header)
        ]
        said = subprocess.run([*command, door.url + path], capture_output=True, text=True, check=True).stdout
    found = re.search(r"result (\d+) (\d+) (\d+) (\d+) (\d+)", said)
    assert found is not None, said
    answers, micros, errors, p50, p99 = map(int, found.groups())
    return Measured(answers / micros * 1e6, p50 / 1000, p99 / 1000, errors)


def _floor(door: FrontDoor, case: Case, seconds: int, transactions: int | None = None) -> Measured:
    """Let pgbench do the same writes; its log has each latency."""
    script = FLOOR.format(
        key=FLOOR_KEY if case.has_key else "",
        model=_model_id(door),
        kind=case.kind,
        classes=case.classes,
        positions=case.positions,
        num_samples=case.num_samples,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "floor.sql")
        file.write_text(re.sub(r"\n +", " ", script))  # one statement a line
        length = (
            ["-t", str(transactions), "-c1"] if transactions else ["-T", str(seconds), f"-c{CONNECTIONS}"]
        )
        server = ["-h", str(door.postgres.socket_folder), "-p", str(SOCKET_PORT), "-U", "postgres", DATABASE]
        command = [str(binary("pgbench")), "-n", "-M", "prepared", "-j1", "-l", *length, "-f", str(file)]
        said = subprocess.run([*command, *server], capture_output=True, text=True, check=True, cwd=folder)
        lines = [line for log in Path(folder).glob("pgbench_log*") for line in log.read_text().splitlines()]
    found = re.search(r"tps = ([\d.]+)", said.stdout)
    assert found is not None, said.stderr
    millis = np.array([int(line.split()[2]) for line in lines]) / 1000
    return Measured(float(found[1]), *np.percentile(millis, [50, 99]))


def _same_rows(door: FrontDoor) -> None:
    """See that a request and a transaction of the floor insert the same rows."""
    case, count = CASES[3], 50
    _post(door, _asked([0]), "warm")  # makes the job that the others join
    start = _rows(door)
    for number in range(count):
        _post(door, _asked([number]), f"{uuid.uuid4()}")
    ours = _rows(door)
    _floor(door, case, 0, transactions=count)
    floors = _rows(door)
    for table in TABLES:
        by_us, by_floor = ours[table] - start[table], floors[table] - ours[table]
        assert by_us == by_floor, f"{table}: a request inserts {by_us / count}, the floor {by_floor / count}"
    print("rows inserted a request, ours and the floor's alike: " + _told(start, ours, count))


def _told(start: Mapping[str, int], end: Mapping[str, int], count: int) -> str:
    return ", ".join(f"{table} {(end[table] - start[table]) / count:g}" for table in TABLES)


def _rows(door: FrontDoor) -> dict[str, int]:
    with _connect(door) as connection:
        counted = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in TABLES}
    return {table: int(row[0]) if row else 0 for table, row in counted.items()}


def _bulk(door: FrontDoor, turns: int) -> bool:
    """Measure many targets in one request, and many requests in one call."""
    ids = [sample_id(number) for number in range(door.num_samples)]
    seconds = {}
    for size in (BULK_SAMPLES // 10, BULK_SAMPLES):
        seconds[size] = [_seconds(door, PATH, _asked_ids(ids[:size])) for _ in range(turns)]
        told = ", ".join(f"{each:.2f}" for each in seconds[size])
        print(f"\n{size:,} sample ids in one request: {told} s")
    rates = [BULK_SAMPLES / each for each in seconds[BULK_SAMPLES]]
    is_met = _figure("intake_bulk_targets", rates, "targets/s", ">=", GOAL_TARGETS)
    growth = np.median(seconds[BULK_SAMPLES]) / np.median(seconds[BULK_SAMPLES // 10])
    is_met &= _figure("intake_bulk_growth_of_tenfold", [float(growth)], "ratio", "<=", 15.0)
    calls = []
    for turn in range(turns):
        batch = [
            {**_asked([turn * BULK_REQUESTS + number]), "idempotency_key": str(uuid.uuid4())}
            for number in range(BULK_REQUESTS)
        ]
        calls.append(BULK_REQUESTS / _seconds(door, f"{PATH}/batch", {"requests": batch}))
    print(f"\n{BULK_REQUESTS:,} requests in one call: {np.median(calls):,.0f} requests a second")
    return _figure("intake_batch_requests", calls, "requests/s", ">=", 1000.0) and is_met


def _asked(numbers: Sequence[int]) -> dict[str, object]:
    return _asked_ids([sample_id(number) for number in numbers])


def _asked_ids(ids: Sequence[str]) -> dict[str, object]:
    return {"model": MODEL, "target": {"kind": "samples", "sample_ids": list(ids)}}


def _post(door: FrontDoor, body: Mapping[str, object], key: str) -> None:
    headers = {**door.headers, "Idempotency-Key": key}
    answer = httpx.post(door.url + PATH, json=body, headers=headers, timeout=60, trust_env=False)
    answer.raise_for_status()


def _seconds(door: FrontDoor, path: str, body: Mapping[str, object]) -> float:
    began = time.perf_counter()
    answer = httpx.post(door.url + path, json=body, headers=door.headers, timeout=120, trust_env=False)
    answer.raise_for_status()
    return time.perf_counter() - began


def _model_id(door: FrontDoor) -> uuid.UUID:
    with _connect(door) as connection:
        row = connection.execute("SELECT id FROM models").fetchone()
    assert row is not None
    found: uuid.UUID = row[0]
    return found


def _connect(door: FrontDoor) -> psycopg.Connection:
    return psycopg.connect(
        host=str(door.postgres.socket_folder), port=SOCKET_PORT, user="postgres", dbname=DATABASE
    )


def _median(measured: Sequence[Measured], name: str) -> float:
    return float(np.median([getattr(each, name) for each in measured]))


def _figure(name: str, values: Sequence[float], unit: str, comparison: str, goal: float) -> bool:
    """Print one line a machine reads; return whether the goal was met."""
    value, low, high = float(np.median(values)), min(values), max(values)
    print(
        f"figure {name} value={value:.4g} low={low:.4g} high={high:.4g} unit={unit} "
        f"goal={comparison} {goal:g}"
    )
    return value >= goal if comparison == ">=" else value <= goal


if __name__ == "__main__":
    main()
