"""A database that is killed and comes back: the child goes on, the worker stays, the result is committed once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from mill_api.db.away import AWAY
from mill_api.db.schema import migrate
from mill_api.jobs.testing import Ledger, open_ledger, until
from mill_contracts.jobs import JobState
from mill_local.postgres import SUPERUSER, PostgresServer
from mill_local.testing import TestDatabase

DONE: dict[str, Any] = {"say": {"kind": "succeeded", "files": []}}


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    with PostgresServer.temporary() as server:
        yield server


@pytest.fixture
async def fast_ledger(own_server: PostgresServer, valkey_url: str) -> AsyncIterator[tuple[Ledger, TestDatabase]]:
    """In place of the shared server's: this one may be killed."""
    roles = [own_server.url(role) for role in ("mill_owner", "mill_app", "mill_system", SUPERUSER)]
    await migrate(roles[0])
    async with open_ledger(*roles[:3], broker_url=valkey_url) as ledger:
        yield ledger, TestDatabase("modelmill", *roles)


@pytest.mark.parametrize("moment", ["while the child works", "while the end is committed"])
async def test_a_killed_database_costs_time_and_no_work(
    own_server: PostgresServer, work_ledger: Ledger, workers: Any, tmp_path: Path, moment: str
) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    worker = workers.start()
    job = await work_ledger.add(steps=[{"touch": str(started)}, {"wait_for": str(go)}, DONE])

    async def begun() -> bool:
        return started.exists()

    async def ended() -> bool:
        return await work_ledger.state(job) is JobState.SUCCEEDED

    async def noticed() -> bool:
        return "heartbeat_failed" in workers.log()

    await until(begun, "the child runs", seconds=40, forgive=AWAY)
    await asyncio.to_thread(own_server.kill)
    await until(noticed, "the worker sees that the database is away", seconds=40, forgive=AWAY)
    if moment == "while the end is committed":
        go.touch()
    await asyncio.to_thread(own_server.start)
    go.touch()
    await until(ended, "the job has succeeded", seconds=40, forgive=AWAY)
    assert worker.poll() is None
    assert await work_ledger.effects(job) == ["applied"]
    assert (await work_ledger.path(job)).count("succeeded") == 1
