"""Look-ups of API keys: shared by those who ask together, worth half a second, never longer than the right itself."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient
from mill_api.access.errors import InvalidApiKey
from mill_api.access.known_keys import KnownKeys
from mill_api.parts import Parts
from mill_api.testing import Person
from mill_contracts.ids import WorkspaceId
from sqlalchemy import event, text

ALL_AT_ONCE = 100


@contextmanager
def look_ups(parts: Parts) -> Generator[list[str]]:
    """The statements that look for a key."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        if "FROM api_keys" in arguments[2]:
            seen.append(arguments[2])

    engine = parts.system.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def make(client: AsyncClient, who: Person, **wanted: Any) -> dict[str, Any]:
    wish = {"name": "a key", "scopes": ["read"], **wanted}
    answer = await client.post("/api/v1/api-keys", json=wish, headers=who.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
def elsewhere(parts: Parts) -> KnownKeys:
    """The look-ups of another api-server, which is not told what happens here."""
    return KnownKeys(parts.database, parts.system)


async def use_for_ever(keys: KnownKeys, key: str) -> None:
    while True:
        await keys.principal(key)
        await asyncio.sleep(0.01)


async def test_requests_that_come_together_share_one_look_up(client: AsyncClient, ada: Person, parts: Parts) -> None:
    key = (await make(client, ada))["key"]
    with look_ups(parts) as seen:
        asking = [client.get("/api/v1/projects", headers={"X-API-Key": key}) for _ in range(ALL_AT_ONCE)]
        answers = await asyncio.gather(*asking)
    assert {answer.status_code for answer in answers} == {200}
    assert len(seen) < ALL_AT_ONCE / 10


async def test_a_key_revoked_elsewhere_is_worthless_within_a_second(
    client: AsyncClient, ada: Person, parts: Parts, elsewhere: KnownKeys
) -> None:
    made = await make(client, ada)
    await elsewhere.principal(made["key"])
    async with parts.database.writing(WorkspaceId(ada.workspace_id)) as work:
        await work.session.execute(text("UPDATE api_keys SET revoked_at = now() WHERE id = :id"), {"id": made["id"]})
    begun = time.monotonic()
    with pytest.raises(InvalidApiKey):
        await use_for_ever(elsewhere, made["key"])
    assert time.monotonic() - begun < 1


async def test_a_key_is_not_known_beyond_its_time(client: AsyncClient, ada: Person, elsewhere: KnownKeys) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=1)
    key = (await make(client, ada, expires_at=ends.isoformat()))["key"]
    with pytest.raises(InvalidApiKey):
        await use_for_ever(elsewhere, key)
    assert datetime.now(UTC) - ends < timedelta(seconds=0.4)


async def test_what_was_asked_before_a_right_ended_is_not_kept(
    client: AsyncClient, ada: Person, parts: Parts, elsewhere: KnownKeys
) -> None:
    key = (await make(client, ada))["key"]
    with look_ups(parts) as seen:
        first = asyncio.create_task(elsewhere.principal(key))
        await asyncio.sleep(0)
        elsewhere.forget()
        await asyncio.gather(first, elsewhere.principal(key))
        await elsewhere.principal(key)
    assert len(seen) == 2


async def test_the_first_to_ask_may_leave(client: AsyncClient, ada: Person, elsewhere: KnownKeys) -> None:
    key = (await make(client, ada))["key"]
    first = asyncio.create_task(elsewhere.principal(key))
    second = asyncio.create_task(elsewhere.principal(key))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).workspace_id == ada.workspace_id
