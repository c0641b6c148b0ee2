"""Nothing lost, nothing twice: kills processes at every step of their work and looks for what broke.

    python -m benchmarks.chaos [--small] [--strict] [--kills N] [--minutes M] [--seed N] ...

Clients ask several models to forget while workers are killed at named steps (`dooms`) and paused past their
lease, engines, relays, API, broker and database are killed, messages dropped, delayed and doubled,
connections cut and disks filled. After each round everything comes to rest and a checker that shares no code
with the product reads database, store and ledger. The first finding ends the campaign; its folder is kept.
"""

import argparse
import math
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.chaos import campaign
from benchmarks.chaos.cluster import Cluster

LEASE_SECONDS = 2.0
GOAL_RATIO = 2.0
SKEW_SECONDS = 5.0  # of one worker's clock


def main() -> None:
    """Run the campaign; print what struck, one line a figure, and every finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help="12 kills")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    parser.add_argument("--kills", type=int, default=1000, help="processes to kill")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further round after these")
    parser.add_argument("--round", type=int, default=40, help="kills between two looks of the checker")
    parser.add_argument("--models", type=int, default=6, help="models that forget")
    parser.add_argument("--workers", type=int, default=3, help="workers that serve them")
    parser.add_argument("--seed", type=int, default=1, help="of every choice")
    parser.add_argument(
        "--cold", action="store_true", help="start each worker anew; slower, as torch is imported"
    )
    parser.add_argument("--keep", type=Path, help="folder of the cluster; a temporary one without")
    asked = parser.parse_args()
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="lethe-chaos-"))
    cluster = Cluster(
        folder.resolve(), LEASE_SECONDS, asked.workers, skews={1: SKEW_SECONDS}, is_cold=asked.cold
    )
    outcome = campaign.run(
        cluster,
        seed=asked.seed,
        num_models=asked.models,
        num_kills=12 if asked.small else asked.kills,
        kills_a_round=asked.round,
        seconds=60 * asked.minutes,
    )
    sys.exit(1 if _told(outcome, folder, asked) and asked.strict else 0)


def _told(outcome: campaign.Outcome, folder: Path, asked: argparse.Namespace) -> bool:
    """Print the outcome; return whether a goal was missed."""
    for name, count in sorted(outcome.faults.items()):
        print(f"{count:>6} {name}")
    print(
        f"{outcome.rounds} rounds, {outcome.num_requests} requests accepted, {outcome.num_versions} versions "
        f"(seed {asked.seed})"
    )
    for finding in outcome.findings:
        print(f"FINDING {finding}")
    print(
        f"figure chaos_findings value={len(outcome.findings)} low={len(outcome.findings)} "
        f"high={len(outcome.findings)} unit=findings goal=<= 0"
    )
    kills = outcome.kills
    print(f"figure chaos_kills value={kills} low={kills} high={kills} unit=kills goal=>= {asked.kills}")
    ratios = campaign.ratios(outcome, LEASE_SECONDS)
    worst = max(ratios, default=0.0)
    if ratios:
        print(
            f"figure chaos_recovery value={statistics.median(ratios):.2f} low={ratios[0]:.2f} "
            f"high={worst:.2f} unit=leases goal=<= {GOAL_RATIO:g}"
        )
    if outcome.findings:
        print(f"kept: {folder}")
    elif asked.keep is None:
        shutil.rmtree(folder)
    return bool(outcome.findings) or worst > GOAL_RATIO


if __name__ == "__main__":
    main()
