"""A short campaign: a few processes die in mid-work, and the checker finds nothing broken."""

import pytest

from benchmarks.chaos import campaign
from benchmarks.chaos.cluster import Cluster

NUM_KILLS = 3


@pytest.mark.timeout(300)
def test_killed_processes_lose_nothing_and_publish_nothing_twice(tmp_path):
    cluster = Cluster(tmp_path / "cluster", lease_seconds=2.0, num_workers=2, skews={1: 5.0})

    outcome = campaign.run(cluster, seed=3, num_models=2, num_kills=NUM_KILLS, kills_a_round=NUM_KILLS)

    assert outcome.findings == []
    assert outcome.kills >= NUM_KILLS
    assert outcome.num_versions > 0
