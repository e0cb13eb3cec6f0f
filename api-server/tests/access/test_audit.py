"""The audit log: sealed, filtered, paged, exported."""

import csv
import io
import json
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient
from mill_api.parts import Parts
from mill_api.testing import Person, invite
from mill_contracts.ids import WorkspaceId
from mill_contracts.tokens import Role
from mill_local.testing import TestDatabase
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

PATH = "/api/v1/audit"


async def lines(client: AsyncClient, who: Person, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get(PATH, params=query, headers=who.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_a_line_says_who_what_before_after_and_by_which_request(client: AsyncClient, ada: Person) -> None:
    made = await client.post("/api/v1/projects", json={"name": "before"}, headers=ada.headers)
    path = f"/api/v1/projects/{made.json()['id']}"
    await client.patch(path, json={"name": "after"}, headers=ada.headers | {"X-Request-ID": "request-of-the-change"})
    (line,) = await lines(client, ada, action="project.changed")
    assert (line["user"], line["user_id"], line["subject"]) == (
        ada.username,
        str(ada.id),
        f"project:{made.json()['id']}",
    )
    assert line["details"] == {"before": {"name": "before"}, "after": {"name": "after"}}
    assert (line["request_id"], line["address"]) == ("request-of-the-change", "127.0.0.1")


async def test_it_is_filtered_by_who_what_about_and_when(client: AsyncClient, ada: Person) -> None:
    colleague = await invite(client, ada, Role.DATA_SCIENTIST)
    first = (await client.post("/api/v1/projects", json={"name": "1"}, headers=ada.headers)).json()
    await client.post("/api/v1/projects", json={"name": "2"}, headers=colleague.headers)
    assert len(await lines(client, ada, action="project.created")) == 2
    theirs = await lines(client, ada, user_id=str(colleague.id), action="project.created")
    assert [line["details"]["name"] for line in theirs] == ["2"]
    about = await lines(client, ada, subject=f"project:{first['id']}")
    assert [line["action"] for line in about] == ["project.created"]
    moment = theirs[0]["at"]
    assert [line["id"] for line in await lines(client, ada, since=moment)][-1] == theirs[0]["id"]
    assert theirs[0]["id"] not in [line["id"] for line in await lines(client, ada, until=moment)]


async def test_its_pages_are_the_whole_of_it(client: AsyncClient, ada: Person) -> None:
    for number in range(7):
        await client.post("/api/v1/projects", json={"name": str(number)}, headers=ada.headers)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await client.get(PATH, params={"limit": 3, **cursor}, headers=ada.headers)).json()
        seen += [line["id"] for line in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [line["id"] for line in await lines(client, ada)]
    assert len(seen) >= 9


async def test_the_export_has_every_line_and_no_formula(client: AsyncClient, ada: Person) -> None:
    names = ["=HYPERLINK(1)", "+1", "-1", "@x", "plain"]
    for name in names:
        await client.post("/api/v1/projects", json={"name": name}, headers=ada.headers | {"X-Request-ID": "=cmd"})
    plain = await client.get(f"{PATH}/export", params={"action": "project.created"}, headers=ada.headers)
    assert plain.headers["content-type"] == "application/x-ndjson"
    assert "attachment" in plain.headers["content-disposition"]
    documents = [json.loads(line) for line in plain.text.splitlines()]
    assert [document["details"]["name"] for document in documents] == names[::-1]
    wanted = {"format": "csv", "action": "project.created"}
    table = await client.get(f"{PATH}/export", params=wanted, headers=ada.headers)
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [json.loads(row["details"])["name"] for row in rows] == names[::-1]
    cells = [cell for row in rows for cell in row.values()]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in cells), cells


async def test_it_shows_no_other_workspace(client: AsyncClient, ada: Person, bob: Person) -> None:
    await client.post("/api/v1/projects", json={"name": "hers"}, headers=ada.headers)
    assert await lines(client, bob, action="project.created") == []
    export = await client.get(f"{PATH}/export", headers=bob.headers)
    assert str(ada.id) not in export.text


async def test_nobody_changes_a_line_not_even_the_owner_of_the_table(
    client: AsyncClient, ada: Person, parts: Parts, databases: TestDatabase
) -> None:
    await client.post("/api/v1/projects", json={"name": "p"}, headers=ada.headers)
    attempts = ("UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log")
    for attempt in attempts:
        with pytest.raises(DBAPIError, match="permission denied"):
            async with parts.database.writing(WorkspaceId(ada.workspace_id)) as work:
                await work.session.execute(text(attempt))
    owner = create_async_engine(databases.owner_url.replace("postgresql://", "postgresql+asyncpg://", 1))
    try:
        for attempt in attempts:
            async with owner.connect() as connection:
                await connection.execute(text("ALTER TABLE audit_log NO FORCE ROW LEVEL SECURITY"))
                with pytest.raises(DBAPIError, match="append-only"):
                    await connection.execute(text(attempt))
    finally:
        await owner.dispose()


async def test_an_erased_user_leaves_lines_without_a_name(
    client: AsyncClient, ada: Person, databases: TestDatabase
) -> None:
    gone = await invite(client, ada, Role.DATA_SCIENTIST)
    name = f"kept {uuid4().hex[:6]}"
    await client.post("/api/v1/projects", json={"name": name}, headers=gone.headers)
    owner = create_async_engine(databases.owner_url.replace("postgresql://", "postgresql+asyncpg://", 1))
    try:
        async with owner.begin() as connection:
            await connection.execute(text("DELETE FROM users WHERE id = :id"), {"id": gone.id})
    finally:
        await owner.dispose()
    (line,) = [line for line in await lines(client, ada, action="project.created") if line["details"]["name"] == name]
    assert (line["user_id"], line["user"]) == (None, None)
