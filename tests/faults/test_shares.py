"""The short form of `make test-faults ONLY=19`: a workspace that asks far too often takes nothing from another.

On the api-server alone; ml-service's own tests try its limits. How much slower the other becomes is for a quiet machine to judge.
"""

from pathlib import Path

import pytest

from tests.faults.cluster import cluster
from tests.faults.experiments.shares import API_PER_SECOND, LIMITS, is_held_back, listing, measure
from tests.faults.workload import User


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_workspace_that_asks_too_often_takes_nothing_from_another(tmp_path: Path) -> None:
    with cluster(tmp_path / "shares", LIMITS, proxied=False) as running:
        greedy, modest = (User.register(running.api_url, name, 60) for name in ("greedy", "modest"))
        seen = measure(running.api_url, listing(greedy), listing(modest), API_PER_SECOND, 1)
        for user in (greedy, modest):
            user.close()
    assert seen.errors == 0, seen.statuses
    assert is_held_back(seen), seen.greedy
