"""What a request, a version, an entry, a call and a large model take: the unit costs of docs/scale.md.

    python -m benchmarks.scale [rows|calls|memory|precision ...] [--small] [--strict]

`rows`: PostgreSQL and the relay's statements. `calls`: CPU time of API, database, worker and relay, and
messages, of a running Lethe. `memory`: peaks of the engine's operations on ResNet-50 and ViT-B/16.
`precision`: a Fisher in bfloat16 beside one in float32. CPU times and bytes are hardly moved by other load on
the machine; wall times are, and are told as they were found. A figure's low and high are the range of its
repeats, and equal its value where there is one.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.scale import calls, peaks, precision, rows
from benchmarks.scale.figures import Figure
from lethe.embedded.postgres import EmbeddedPostgres
from lethe.embedded.process import free_port, running
from service.core.db.engine import open_engine
from service.core.db.session import open_sessions

MAX_MULTIPLE = 8.0
PIXELS = 224


def main() -> None:
    """Measure what was asked for, print the tables and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all, if none is named")
    parser.add_argument("--small", action="store_true", help="a tenth of the rows, one large model")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    is_missed = False
    for part in asked.parts or PARTS:
        for figure in PARTS[part](asked.small):  # told at once: a run that is cut short has not run in vain
            print(figure, flush=True)
            is_missed |= figure.is_missed
    if asked.strict and is_missed:
        sys.exit(1)


def of_rows(is_small: bool) -> Iterator[Figure]:
    """Yield what is in PostgreSQL."""
    num = 1000 if is_small else 10_000
    with tempfile.TemporaryDirectory() as folder:
        postgres = EmbeddedPostgres(Path(folder), Path(folder) / "log", port=free_port())
        with running(postgres.program()):
            postgres.ensure_database("lethe")
            calls.migrate(postgres.url("lethe"))
            engine = open_engine(postgres.url("lethe"))
            ground = rows.Ground.laid(open_sessions(engine), num_models=50)
            yield from rows.of_requests(ground, num)
            yield from rows.of_versions(ground, 50 if is_small else 200)
            yield from rows.of_sequencing(ground, rows.ledger.BATCH, repeats=5)
            yield from rows.of_sequencing_many(ground, 10 * num)
            yield from rows.of_sweeps(ground, num, repeats=7)
            engine.dispose()


def of_memory(is_small: bool) -> Iterator[Figure]:
    """Yield the peaks of the engine's operations."""
    for model in ["resnet50"] if is_small else list(peaks.FACTORIES):
        worst = 0.0
        for peak in peaks.peaks(model):
            print(
                f"{model:<10}{peak.operation:<26}{peak.multiple:6.2f} x {peak.model_bytes / 1e6:.0f} MB"
                f"{peak.seconds:8.1f} s",
                flush=True,
            )
            name = peak.operation.split(",")[0].replace(": ", "_")
            suffix = "_samples" if "samples" in peak.operation else ""
            worst = max(worst, peak.multiple)
            yield Figure(f"{model}_{name}{suffix}_multiple", [peak.multiple], "model")
        yield Figure(f"{model}_worst_multiple", [worst], "model", f"<= {MAX_MULTIPLE:g}")
        yield Figure(f"{model}_activation_mb", [peaks.activation_bytes(model, PIXELS) / 1e6], "MB/sample")


PARTS: dict[str, Callable[[bool], Iterator[Figure]]] = {
    "rows": of_rows,
    "calls": calls.figures,
    "memory": of_memory,
    "precision": precision.figures,
}

if __name__ == "__main__":
    main()
