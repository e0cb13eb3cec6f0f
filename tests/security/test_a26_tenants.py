"""A26: two workspaces in random turns through a pool of two connections, and SQL as the services' own roles."""

# asyncpg ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnnecessaryTypeIgnoreComment=false
import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from mill_api.app import create_app
from mill_api.settings import Settings
from mill_local.testing import TestDatabase

from tests.security.evidence import SEED, Evidence, sized
from tests.security.support import NO_ID, Estate, api_routes

TESTS = "test_a26_tenants.py"
AT_ONCE = 16
CATALOG = """
    SELECT c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
           EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) AS owned
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1
"""


@pytest.fixture(scope="module")
async def narrow(settings: Settings) -> AsyncIterator[AsyncClient]:
    """An api-server whose requests share two connections, so that every one of them changes hands all the time."""
    pool = settings.database.model_copy(update={"pool_size": 2})
    application: FastAPI = create_app(settings.model_copy(update={"database": pool}))
    async with (
        LifespanManager(application, startup_timeout=30, shutdown_timeout=30),
        AsyncClient(transport=ASGITransport(application), base_url="http://modelmill.test", timeout=60) as client,
    ):
        yield client


async def test_calls_in_random_turns_never_show_the_other_workspace(
    narrow: AsyncClient, victim: Estate, stranger: Estate
) -> None:
    evidence = Evidence(26, "Tenants are isolated: random turns through a pool of two", TESTS, full=10_000)
    chance, gate = random.Random(SEED), asyncio.Semaphore(AT_ONCE)  # noqa: S311 - repeatable, not secret
    reads = [
        path for verb, path in api_routes() if verb == "GET" and not path.endswith(("/events", "/download", "/package"))
    ]
    leaks: list[str] = []

    async def call(me: Estate, other: Estate, path: str, ids: Estate) -> None:
        async with gate:
            answer = await narrow.get(ids.path(path), headers=me.owner.headers)
        theirs = {value for name, value in other.ids.items() if name != "version"} | {
            str(other.owner.id),
            str(other.owner.workspace_id),
        }
        mentioned = [one for one in theirs if one in answer.text and one not in str(answer.request.url)]
        wrong = bool(mentioned) or answer.status_code == 500 or (ids is other and "{" in path and answer.is_success)
        evidence.count(failed=wrong)
        if wrong:
            leaks.append(f"{path}: {answer.status_code} {mentioned}")

    people = (victim, stranger)
    calls: list[Any] = []
    for _ in range(sized(500, 10_000)):
        me = chance.randrange(2)
        ids = people[me] if chance.random() < 0.6 else people[1 - me]
        calls.append(call(people[me], people[1 - me], chance.choice(reads), ids))
    await asyncio.gather(*calls)
    evidence.figures = {"calls": len(calls), "at_once": AT_ONCE, "connections": 2}
    evidence.keep()
    assert leaks == []


async def test_every_table_of_a_workspace_is_walled_in_the_catalog(databases: TestDatabase) -> None:
    tables = await _rows(databases.superuser_url, CATALOG)
    owned = {table["name"] for table in tables if table["owned"]}
    assert len(owned) >= 10
    assert [table["name"] for table in tables if table["owned"] and not (table["enabled"] and table["forced"])] == []


@pytest.mark.parametrize("tenant", [None, "", NO_ID])
async def test_the_runtime_role_without_a_workspace_sees_and_writes_nothing(
    databases: TestDatabase, victim: Estate, tenant: str | None
) -> None:
    """All tables that the catalog knows, by SQL, as the role of the api-server."""
    evidence = Evidence(26, f"Tenants are isolated: SQL with the tenant {tenant!r}", TESTS)
    assert victim.ids
    tables = [table["name"] for table in await _rows(databases.superuser_url, CATALOG) if table["owned"]]
    connection = await asyncpg.connect(databases.app_url)
    try:
        if tenant is not None:
            await connection.execute("SELECT set_config('mill.tenant', $1, false)", tenant)
        for table in tables:
            seen = await _attempt(connection, f"SELECT count(*) FROM {table}")
            changed = await _attempt(
                connection, f"WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM gone"
            )
            moved = await _attempt(
                connection,
                f"WITH moved AS (UPDATE {table} SET tenant_id = '{NO_ID}' RETURNING 1) SELECT count(*) FROM moved",
            )
            evidence.count(failed=bool(seen or changed or moved), trials=3)
            assert (seen, changed, moved) == (0, 0, 0), table
    finally:
        await connection.close()
    evidence.figures = {"tables": len(tables)}
    evidence.keep()


async def test_the_runtime_role_has_no_way_around(databases: TestDatabase) -> None:
    role = (await _rows(databases.superuser_url, "SELECT * FROM pg_roles WHERE rolname = 'mill_app'"))[0]
    assert not any(role[one] for one in ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolreplication"))
    connection = await asyncpg.connect(databases.app_url)
    try:
        for escape in (
            "SET ROLE mill_owner",
            "SET ROLE mill_system",
            "SET SESSION AUTHORIZATION postgres",
            "SET row_security = off; SELECT count(*) FROM projects",
            "ALTER TABLE projects DISABLE ROW LEVEL SECURITY",
            "CREATE POLICY mine ON projects USING (true)",
            "CREATE TABLE mine (a int)",
            "CREATE FUNCTION mine() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
            "COPY projects TO PROGRAM 'cat'",
            "COPY projects FROM '/etc/passwd'",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT lo_import('/etc/passwd')",
            "CREATE EXTENSION dblink",
            "UPDATE audit_log SET action = 'nothing'",
            "DELETE FROM audit_log",
            "TRUNCATE audit_log",
            "GRANT mill_owner TO mill_app",
        ):
            if escape.startswith(("UPDATE audit", "DELETE FROM audit")):
                assert await _attempt(connection, f"WITH x AS ({escape} RETURNING 1) SELECT count(*) FROM x") == 0
                continue
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(escape)
    finally:
        await connection.close()


async def _rows(url: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


async def _attempt(connection: Any, statement: str) -> int:
    """How many rows; a refusal of the database is none."""
    try:
        return int(await connection.fetchval(statement))
    except asyncpg.InsufficientPrivilegeError:
        return 0
