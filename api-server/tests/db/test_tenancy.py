"""Row-level security, read from the catalogue: a new table without it fails here."""

from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient
from mill_api.access.tables import GLOBAL_TABLES
from mill_api.parts import Parts
from mill_api.testing import Person
from mill_contracts.ids import WorkspaceId
from mill_local.testing import TestDatabase
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

SYSTEM_TABLES = {
    "job_counters",  # totals of the ledger's metrics
    "publications",  # snapshots for the data plane, of all workspaces at once
    "schedule_runs",
    "schedules",
    "workers",
}
NOT_TENANT_TABLES = (
    GLOBAL_TABLES
    | SYSTEM_TABLES
    | {
        "alembic_version",  # which migrations ran
        "store_identity",  # which object store this database belongs to
    }
)
TABLES = text(
    "SELECT relname AS name, relrowsecurity AND relforcerowsecurity AS walled, pg_get_userbyid(relowner) AS owner"
    " FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
)


async def catalogue(parts: Parts) -> list[Any]:
    async with parts.database.reading() as session:
        return list(await session.execute(TABLES))


async def test_every_table_is_walled_or_known_to_be_global(parts: Parts) -> None:
    tables = await catalogue(parts)
    assert {table.name for table in tables if not table.walled} == NOT_TENANT_TABLES
    assert {table.owner for table in tables} == {"mill_owner"}


async def test_the_roles_of_the_services_cannot_climb_the_wall(parts: Parts) -> None:
    async with parts.database.reading() as session:
        roles = await session.execute(
            text("SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname LIKE 'mill%'")
        )
        members = await session.scalar(
            text("SELECT count(*) FROM pg_auth_members WHERE member::regrole::text LIKE 'mill%'")
        )
    assert dict(list(map(tuple, roles))) == {"mill_owner": False, "mill_app": False, "mill_system": False}
    assert members == 0


async def test_without_a_tenant_or_with_another_there_are_no_rows(
    parts: Parts, client: AsyncClient, ada: Person, bob: Person
) -> None:
    await client.post("/api/v1/projects", json={"name": "hers"}, headers=ada.headers)
    await client.post("/api/v1/api-keys", json={"name": "hers"}, headers=ada.headers)
    walled = [table.name for table in await catalogue(parts) if table.walled]
    for tenant in (None, WorkspaceId(uuid4())):
        async with parts.database.reading(tenant) as session:
            for table in walled:
                if await _may_read(session, table):
                    assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0, (table, tenant)
    async with parts.database.reading(WorkspaceId(bob.workspace_id)) as session:
        for table in walled:
            column = "id" if table == "workspaces" else "tenant_id"
            if await _may_read(session, table):
                others = f"SELECT count(*) FROM {table} WHERE {column} <> :own"
                assert await session.scalar(text(others), {"own": bob.workspace_id}) == 0, table


async def test_requests_cannot_touch_the_tables_of_the_system(parts: Parts) -> None:
    async with parts.database.reading() as session:
        for table in SYSTEM_TABLES:
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"):
                query = text("SELECT has_table_privilege(:table, :right)")
                assert not await session.scalar(query, {"table": table, "right": right}), (table, right)


async def test_the_wall_stands_for_writes_too(parts: Parts, ada: Person, bob: Person) -> None:
    insert = text("INSERT INTO projects (id, tenant_id, name) VALUES (:id, :tenant, 'planted')")
    for tenant in (None, WorkspaceId(bob.workspace_id)):
        with pytest.raises(DBAPIError, match="row-level security"):
            async with parts.database.writing(tenant) as work:
                await work.session.execute(insert, {"id": uuid4(), "tenant": ada.workspace_id})


async def test_a_pooled_connection_forgets_its_tenant(parts: Parts, client: AsyncClient, ada: Person) -> None:
    await client.post("/api/v1/projects", json={"name": "hers"}, headers=ada.headers)
    async with parts.database.engine.connect() as connection:
        for _ in range(2):
            assert await connection.scalar(text("SELECT count(*) FROM projects")) == 0
        assert await connection.scalar(text("SELECT current_setting('mill.tenant', true)")) in (None, "")


async def test_a_read_session_cannot_write(parts: Parts, ada: Person) -> None:
    with pytest.raises(DBAPIError, match="read-only"):
        async with parts.database.reading(WorkspaceId(ada.workspace_id)) as session:
            await session.execute(text("UPDATE projects SET name = 'x'"))


async def test_the_services_cannot_change_the_schema(databases: TestDatabase, parts: Parts) -> None:
    for engine in (parts.database.engine, parts.system.engine):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with engine.begin() as connection:
                await connection.execute(text("CREATE TABLE mine (id int)"))


async def _may_read(session: Any, table: str) -> bool:
    return bool(await session.scalar(text("SELECT has_table_privilege(:table, 'SELECT')"), {"table": table}))
