"""Who listens to a job's events is sent away within a second of losing the right to."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from httpx import AsyncClient
from mill_api.access.principal import Principal
from mill_api.access.recognise import as_of_now
from mill_api.jobs.events import EventStream
from mill_api.jobs.service import NewJob, enqueue
from mill_api.jobs.testing import witness_settings
from mill_api.parts import Parts
from mill_api.testing import Person, invite
from mill_contracts.ids import JobId, WorkspaceId
from mill_contracts.jobs import JobKind, Queue
from mill_contracts.tokens import Role

Act = Callable[[], Awaitable[Any]]


@pytest.fixture
async def job(parts: Parts, ada: Person) -> JobId:
    """One that waits in the queue: nobody works here."""
    settings = witness_settings(JobKind.SWEEP, Queue.GENERAL)
    async with parts.database.writing(WorkspaceId(ada.workspace_id)) as work:
        return JobId((await enqueue(work, NewJob(settings, WorkspaceId(ada.workspace_id)))).id)


async def seconds_until_sent_away(parts: Parts, who: Principal, job: JobId, act: Act) -> float:
    """From the moment that `act` took the right away until the stream ended."""
    heard = asyncio.Event()

    async def listen() -> None:
        async for _ in EventStream(parts.database, who).of(job, 0):
            heard.set()

    listening = asyncio.create_task(listen())
    await asyncio.wait_for(heard.wait(), 10)
    await asyncio.sleep(0)
    assert not listening.done()
    await act()
    begun = time.monotonic()
    await asyncio.wait_for(listening, 10)
    return time.monotonic() - begun


async def test_a_sign_out_ends_the_stream(parts: Parts, client: AsyncClient, ada: Person, job: JobId) -> None:
    who = await as_of_now(parts.database, parts.tokens.read(ada.access_token))

    async def sign_out() -> None:
        answer = await client.post("/api/v1/auth/logout", json={"refresh_token": ada.refresh_token})
        assert answer.status_code == 204

    assert await seconds_until_sent_away(parts, who, job, sign_out) < 1


async def test_a_removed_member_hears_no_more(parts: Parts, client: AsyncClient, ada: Person, job: JobId) -> None:
    guest = await invite(client, ada, Role.USER)
    who = await as_of_now(parts.database, parts.tokens.read(guest.access_token))

    async def remove() -> None:
        answer = await client.delete(f"/api/v1/users/{guest.id}", headers=ada.headers)
        assert answer.status_code == 204, answer.text

    assert await seconds_until_sent_away(parts, who, job, remove) < 1


async def test_a_revoked_key_hears_no_more(parts: Parts, client: AsyncClient, ada: Person, job: JobId) -> None:
    wish = {"name": "k", "scopes": ["read"]}
    made = (await client.post("/api/v1/api-keys", json=wish, headers=ada.headers)).json()
    who = await parts.keys.principal(made["key"])

    async def revoke() -> None:
        answer = await client.delete(f"/api/v1/api-keys/{made['id']}", headers=ada.headers)
        assert answer.status_code == 204

    assert await seconds_until_sent_away(parts, who, job, revoke) < 1
