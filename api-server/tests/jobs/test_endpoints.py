"""`/api/v1/jobs`: lists, logs, cancel, retry, live events; another workspace sees nothing of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from mill_api.db import Database
from mill_api.jobs.ending import Databases, Endings
from mill_api.jobs.handlers import Attempt, Registry
from mill_api.jobs.leases import Leases, News
from mill_api.jobs.metrics import JobMetrics
from mill_api.jobs.service import NewJob, enqueue
from mill_api.jobs.testing import WITNESS_SQL, WitnessHandler, witness_settings
from mill_api.parts import Parts
from mill_api.testing import Person, invite
from mill_contracts.ids import JobId, WorkspaceId, new_id
from mill_contracts.jobs import JobKind, JobState, Queue
from mill_contracts.tokens import Role
from mill_local.testing import TestDatabase
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text

SETTINGS = witness_settings(JobKind.SWEEP, Queue.GENERAL)
LINE = {"at": "2026-11-20T10:00:00.000+00:00", "level": "info", "message": "half-way"}


class Bench:
    """Jobs of a kind that no domain owns, moved by hand on the application's own database."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.registry = Registry.of([WitnessHandler(SETTINGS, parts.store)])
        self.databases = Databases(parts.database, parts.system)
        self.leases = Leases(parts.system, 60, "bench")

    async def add(self, person: Person, **more: Any) -> JobId:
        tenant = WorkspaceId(person.workspace_id)
        async with self.parts.database.writing(tenant) as work:
            waits_for = more.pop("waits_for", None)
            subject = more.pop("subject_id", None)
            row = await enqueue(work, NewJob(SETTINGS, tenant, more, subject_id=subject, waits_for=waits_for))
            return JobId(row.id)

    async def claim(self) -> Attempt:
        attempt = await self.leases.claim([Queue.GENERAL])
        assert attempt is not None
        return attempt

    async def end(self, attempt: Attempt, how: str) -> JobState:
        endings = Endings(self.registry)
        assert attempt.tenant_id is not None
        async with self.parts.database.writing(WorkspaceId(attempt.tenant_id)) as work:
            if how == "succeed":
                return await endings.succeed(work, attempt, {"rows": 3}, None)
            return await endings.give_up(work, attempt, {"type": "x", "title": "x", "status": 422, "detail": how}, None)


@pytest.fixture(scope="module")
async def witness_table(databases: TestDatabase) -> AsyncIterator[None]:
    """The database is shared, so the table goes again."""
    owner = Database.connect(databases.owner_url)
    async with owner.writing() as work:
        for statement in WITNESS_SQL:
            await work.session.execute(text(statement))
    yield
    async with owner.writing() as work:
        await work.session.execute(text("DROP TABLE witness"))
    await owner.close()


@pytest.fixture
async def bench(app: FastAPI, parts: Parts, witness_table: None) -> AsyncIterator[Bench]:
    """The application also knows the witness; what earlier tests left queued is out of its way."""
    made = Bench(parts)
    async with parts.system.writing() as work:
        await work.session.execute(
            text("UPDATE jobs SET state = 'cancelled' WHERE state = 'queued' AND queue = 'general'")
        )
    app.state.parts = replace(parts, registry=Registry({**parts.registry.handlers, **made.registry.handlers}))
    yield made
    app.state.parts = parts


async def test_a_job_is_listed_newest_first_with_filters_and_pages(
    bench: Bench, client: AsyncClient, ada: Person
) -> None:
    subject = new_id()
    jobs = [await bench.add(ada, number=number) for number in range(3)]
    jobs.append(await bench.add(ada, subject_id=subject))
    first = (await client.get("/api/v1/jobs", params={"limit": 3}, headers=ada.headers)).json()
    assert [item["id"] for item in first["items"]] == [str(job) for job in reversed(jobs[1:])]
    rest = await client.get("/api/v1/jobs/", params={"cursor": first["next_cursor"]}, headers=ada.headers)
    assert [item["id"] for item in rest.json()["items"]] == [str(jobs[0])]
    for params, found in (
        ({"subject_id": str(subject)}, 1),
        ({"state": ["queued", "failed"]}, 4),
        ({"state": "running"}, 0),
        ({"kind": "sweep", "queue": "general"}, 4),
        ({"kind": "train"}, 0),
    ):
        answer = await client.get("/api/v1/jobs", params=params, headers=ada.headers)
        assert len(answer.json()["items"]) == found, params


async def test_another_workspace_sees_no_job_and_can_do_nothing_to_it(
    bench: Bench, client: AsyncClient, ada: Person, bob: Person
) -> None:
    job = await bench.add(ada)
    for verb, path in (
        ("GET", ""),
        ("GET", "/logs"),
        ("GET", "/log"),
        ("GET", "/events"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
    ):
        answer = await client.request(verb, f"/api/v1/jobs/{job}{path}", headers=bob.headers)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:modelmill:problem:job-not-found"), path
    assert (await client.get("/api/v1/jobs", headers=bob.headers)).json()["items"] == []
    assert (await client.get(f"/api/v1/jobs/{job}")).status_code == 401


async def test_who_may_only_look_cannot_cancel(bench: Bench, client: AsyncClient, ada: Person) -> None:
    guest = await invite(client, ada, Role.USER)
    job = await bench.add(ada)
    assert (await client.get(f"/api/v1/jobs/{job}", headers=guest.headers)).status_code == 200
    assert (await client.post(f"/api/v1/jobs/{job}/cancel", headers=guest.headers)).status_code == 403


async def test_cancel_in_every_state(bench: Bench, client: AsyncClient, ada: Person) -> None:
    async def cancel(job: UUID) -> tuple[int, str]:
        answer = await client.post(f"/api/v1/jobs/{job}/cancel", headers=ada.headers)
        return answer.status_code, answer.json().get("state") or answer.json()["type"].rpartition(":")[2]

    queued = await bench.add(ada)
    waiting = await bench.add(ada, waits_for=queued)
    assert await cancel(waiting) == (200, "cancelled")
    assert await cancel(queued) == (200, "cancelled")
    assert await cancel(queued) == (200, "cancelled")
    for how, state in (("succeed", "succeeded"), ("nonsense", "failed")):
        job = await bench.add(ada)
        await bench.end(await bench.claim(), how)
        assert await cancel(job) == (409, "job-has-ended"), state


async def test_a_cancel_that_comes_before_the_commit_wins_and_nothing_is_attached(
    bench: Bench, client: AsyncClient, ada: Person
) -> None:
    job = await bench.add(ada)
    attempt = await bench.claim()
    answer = await client.post(f"/api/v1/jobs/{job}/cancel", headers=ada.headers)
    assert answer.json()["state"] == "running"
    assert answer.json()["cancel_requested_at"] is not None
    assert await bench.end(attempt, "succeed") is JobState.CANCELLED
    row = (await client.get(f"/api/v1/jobs/{job}", headers=ada.headers)).json()
    assert (row["state"], row["result"]) == ("cancelled", None)


async def test_a_failed_job_is_retried_once_as_a_new_one(bench: Bench, client: AsyncClient, ada: Person) -> None:
    job = await bench.add(ada, what="again")

    async def retry(job: UUID | str) -> tuple[int, dict[str, Any]]:
        answer = await client.post(f"/api/v1/jobs/{job}/retry", headers=ada.headers)
        return answer.status_code, answer.json()

    assert (await retry(job))[0] == 409
    await bench.end(await bench.claim(), "the input is bad")
    status, new = await retry(job)
    assert (status, new["state"], new["retry_of"]) == (201, "queued", str(job))
    status, problem = await retry(job)
    assert (status, problem["type"]) == (409, "urn:modelmill:problem:nothing-to-retry")
    attempt = await bench.claim()
    assert attempt.spec == {"what": "again"}
    await bench.end(attempt, "succeed")
    assert (await retry(new["id"]))[0] == 409


async def test_the_domain_decides_whether_a_job_may_be_repeated(bench: Bench, client: AsyncClient, ada: Person) -> None:
    job = await bench.add(ada, once=True)
    await bench.end(await bench.claim(), "bad")
    answer = await client.post(f"/api/v1/jobs/{job}/retry", headers=ada.headers)
    assert answer.json()["detail"] == "This one is done once only"
    assert len((await client.get("/api/v1/jobs", headers=ada.headers)).json()["items"]) == 1


async def test_log_lines_and_the_whole_log_can_be_read(bench: Bench, client: AsyncClient, ada: Person) -> None:
    job = await bench.add(ada)
    attempt = await bench.claim()
    await bench.leases.beat(attempt, News(lines=[LINE], tail=[LINE]))
    page = (await client.get(f"/api/v1/jobs/{job}/logs", headers=ada.headers)).json()
    assert [line["message"] for line in page["lines"]] == ["half-way"]
    assert (page["next_after"], page["whole_log"]) == (None, False)
    assert (await client.get(f"/api/v1/jobs/{job}/log", headers=ada.headers)).status_code == 404
    key = f"jobs/{job}/{attempt.token}/log.txt"
    await asyncio.to_thread(bench.parts.store.put, key, b"all of it")
    async with bench.parts.database.writing(WorkspaceId(ada.workspace_id)) as work:
        await Endings(bench.registry).succeed(work, attempt, {}, key)
    assert (await client.get(f"/api/v1/jobs/{job}/log", headers=ada.headers)).text == "all of it"


def parse(stream: str) -> list[tuple[int, str, dict[str, Any]]]:
    events: list[tuple[int, str, dict[str, Any]]] = []
    for block in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "id" in fields:
            events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events


async def test_events_are_live_resume_where_they_stopped_and_end_with_the_job(
    bench: Bench, client: AsyncClient, ada: Person
) -> None:
    job = await bench.add(ada)
    listening = asyncio.create_task(client.get(f"/api/v1/jobs/{job}/events", headers=ada.headers))
    attempt = await bench.claim()
    await bench.leases.beat(attempt, News(progress=0.5, stage="fitting", lines=[LINE], tail=[LINE]))
    await bench.end(attempt, "succeed")
    answer = await asyncio.wait_for(listening, 10)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = parse(answer.text)
    assert [kind for _, kind, _ in events] == ["state", "state", "stage", "progress", "log", "state"]
    assert events[-1][2]["state"] == "succeeded"
    assert events[4][2]["lines"] == [LINE]
    resumed = await client.get(f"/api/v1/jobs/{job}/events", headers=ada.headers | {"Last-Event-ID": str(events[3][0])})
    assert parse(resumed.text) == events[4:]
    after_all = {"Last-Event-ID": str(events[-1][0])}
    assert parse((await client.get(f"/api/v1/jobs/{job}/events", headers=ada.headers | after_all)).text) == []


async def test_the_gauges_tell_states_ages_and_workers(bench: Bench, client: AsyncClient, ada: Person) -> None:
    await bench.add(ada)
    registry = CollectorRegistry()
    metrics = JobMetrics(bench.parts.system, bench.parts.sender)
    registry.register(metrics)
    await metrics.refresh()
    told = generate_latest(registry).decode()
    assert 'mill_jobs{kind="sweep",state="queued"} 1.0' in told
    assert 'mill_jobs{kind="train",state="failed"} 0.0' in told, "a first failure is a rise from 0"
    assert 'mill_jobs_oldest_queued_seconds{queue="general"}' in told
    assert 'mill_queue_messages{queue="ml"}' in told
    assert "\nmill_queue_unacked " in told
    for name in ("mill_job_fencing_refusals_total", "mill_job_lease_expiries_total", "mill_wakeups_failed_total"):
        assert name in told
        assert name in (await client.get("/metrics")).text
