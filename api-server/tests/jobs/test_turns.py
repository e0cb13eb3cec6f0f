"""Workspaces take turns, and none runs more jobs than it may."""

import asyncio
from collections import Counter
from dataclasses import replace
from uuid import UUID

from mill_api.jobs.handlers import Attempt
from mill_api.jobs.testing import Ledger
from mill_contracts.ids import WorkspaceId, new_id

GIVE = "INSERT INTO quotas (id, tenant_id, running_jobs) VALUES (gen_random_uuid(), :tenant, :jobs)"


def another(ledger: Ledger) -> Ledger:
    return replace(ledger, tenant=WorkspaceId(new_id()))


async def claim(ledger: Ledger, running_jobs: int = 0, worker: str = "one") -> Attempt | None:
    return await replace(ledger.leases(worker), running_jobs=running_jobs).claim(["data"])


async def finish(ledger: Ledger, attempt: Attempt) -> None:
    await ledger.sql("UPDATE jobs SET state = 'failed', token = NULL, lease_until = NULL WHERE id = :id", id=attempt.id)


async def test_one_slot_serves_workspaces_in_turn_however_much_one_has_asked_for(ledger: Ledger) -> None:
    """With a single slot nobody runs anything when it is free: whoever waited longest comes next."""
    busy, quiet, third = ledger, another(ledger), another(ledger)
    for _ in range(20):
        await busy.add()
    for _ in range(2):
        await quiet.add()
        await third.add()
    served: list[UUID | None] = []
    for _ in range(8):
        attempt = await claim(ledger)
        assert attempt is not None
        served.append(attempt.tenant_id)
        await finish(ledger, attempt)
    assert Counter(served[:6]) == {busy.tenant: 2, quiet.tenant: 2, third.tenant: 2}
    assert served[6:] == [busy.tenant] * 2


async def test_of_many_slots_the_workspace_that_runs_fewest_gets_the_next(ledger: Ledger) -> None:
    busy, quiet = ledger, another(ledger)
    for _ in range(10):
        await busy.add()
    first = [await claim(ledger) for _ in range(3)]
    for _ in range(3):
        await quiet.add()
    later = [await claim(ledger) for _ in range(4)]
    assert {one.tenant_id for one in first if one} == {busy.tenant}
    assert [one.tenant_id for one in later if one] == [quiet.tenant] * 3 + [busy.tenant]


async def test_no_workspace_runs_more_than_it_may_however_many_claim_at_once(ledger: Ledger) -> None:
    quiet = another(ledger)
    for _ in range(30):
        await ledger.add()
    for _ in range(2):
        await quiet.add()
    claims = await asyncio.gather(*(claim(ledger, running_jobs=4, worker=f"w{n}") for n in range(20)))
    running = [attempt for attempt in claims if attempt is not None]
    while (one := await claim(ledger, running_jobs=4)) is not None:
        running.append(one)
    assert Counter(attempt.tenant_id for attempt in running) == {ledger.tenant: 4, quiet.tenant: 2}
    await finish(ledger, next(one for one in running if one.tenant_id == ledger.tenant))
    freed = await claim(ledger, running_jobs=4)
    assert freed is not None
    assert freed.tenant_id == ledger.tenant


async def test_the_operator_gives_one_workspace_more_and_another_less(ledger: Ledger) -> None:
    large, small = ledger, another(ledger)
    await ledger.sql(GIVE, tenant=large.tenant, jobs=6)
    await ledger.sql(GIVE, tenant=small.tenant, jobs=1)
    for _ in range(8):
        await large.add()
        await small.add()
    running: list[Attempt] = []
    while (one := await claim(ledger, running_jobs=3)) is not None:
        running.append(one)
    assert Counter(attempt.tenant_id for attempt in running) == {large.tenant: 6, small.tenant: 1}


async def test_the_platforms_own_jobs_take_their_turn_and_have_no_limit(ledger: Ledger) -> None:
    await ledger.add()
    await ledger.add()
    platform = [await ledger.add() for _ in range(2)]
    for job in platform:
        await ledger.sql("UPDATE jobs SET tenant_id = NULL WHERE id = :id", id=job)
    running: list[Attempt] = []
    while (one := await claim(ledger, running_jobs=1)) is not None:
        running.append(one)
    assert Counter(attempt.tenant_id for attempt in running) == {ledger.tenant: 1, None: 2}
