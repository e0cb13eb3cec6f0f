"""A ledger of its own for each test: a copy of the migrated database, both roles connected, one witness kind."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from mill_api.db import Database
from mill_api.jobs.ending import Databases
from mill_api.jobs.handlers import Registry
from mill_api.jobs.testing import WITNESS_SQL, Ledger, WitnessHandler, witness_settings
from mill_kit.testing import MemoryStore
from mill_local.testing import DatabaseMaker, TestDatabase
from sqlalchemy import text


@pytest.fixture(scope="session")
async def ledger_template(fresh_database: DatabaseMaker, migrated_template: TestDatabase) -> str:
    made = fresh_database(template=migrated_template.name)
    owner = Database.connect(made.owner_url)
    async with owner.writing() as work:
        for statement in WITNESS_SQL:
            await work.session.execute(text(statement))
    await owner.close()
    return made.name


@pytest.fixture
async def ledger(fresh_database: DatabaseMaker, ledger_template: str) -> AsyncIterator[Ledger]:
    urls = fresh_database(template=ledger_template)
    wakes: list[UUID] = []

    async def wake(_queue: str, job_id: UUID) -> None:
        wakes.append(job_id)

    app = Database.connect(urls.app_url, wake=wake)
    system = Database.connect(urls.system_url, pool_size=20, wake=wake)
    registry = Registry.of([WitnessHandler(witness_settings(), MemoryStore())])
    yield Ledger(Databases(app, system), registry, wakes)
    await app.close()
    await system.close()
