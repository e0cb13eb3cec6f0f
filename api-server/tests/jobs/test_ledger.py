"""The ledger's promises on a real PostgreSQL: one claim, one end, legal moves, what a job's end sets free."""

import asyncio
from dataclasses import replace

import pytest
from mill_api.jobs import service
from mill_api.jobs.ending import FencingRefused
from mill_api.jobs.errors import AwaitedJobFailed, JobNotFound, LeaseExpired
from mill_api.jobs.handlers import Attempt
from mill_api.jobs.leases import Answer, News
from mill_api.jobs.service import NewJob, enqueue
from mill_api.jobs.tables import JobRow
from mill_api.jobs.testing import Ledger, witness_settings
from mill_contracts.ids import JobId, UserId, WorkspaceId, new_id
from mill_contracts.jobs import LEGAL_MOVES, JobState
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

PROBLEM = LeaseExpired("for a test").document()


async def claimed(ledger: Ledger) -> Attempt:
    attempt = await ledger.leases().claim(["data"])
    assert attempt is not None
    return attempt


async def succeed(ledger: Ledger, attempt: Attempt) -> JobState:
    async with ledger.databases.app.writing(ledger.tenant) as work:
        return await ledger.endings.succeed(work, attempt, {"fine": True}, None)


async def give_up(ledger: Ledger, attempt: Attempt) -> JobState:
    async with ledger.databases.app.writing(ledger.tenant) as work:
        return await ledger.endings.give_up(work, attempt, PROBLEM, None)


async def try_again(ledger: Ledger, attempt: Attempt) -> JobState:
    async with ledger.databases.app.writing(ledger.tenant) as work:
        return await ledger.endings.try_again(work, attempt, PROBLEM, None)


async def test_a_job_is_queued_and_its_worker_woken_only_after_the_commit(ledger: Ledger) -> None:
    async with ledger.databases.app.writing(ledger.tenant) as work:
        await enqueue(work, NewJob(witness_settings(), ledger.tenant))
        await work.session.rollback()
        assert ledger.wakes == []
    ledger.wakes.clear()
    assert await ledger.leases().claim(["data"]) is None
    assert ledger.wakes == []
    job = await ledger.add(what="x")
    assert await ledger.state(job) is JobState.QUEUED
    assert ledger.wakes == [job]


async def test_of_many_claimers_each_job_has_one(ledger: Ledger) -> None:
    jobs = [await ledger.add(number=number) for number in range(40)]

    async def take(name: str) -> list[Attempt]:
        mine: list[Attempt] = []
        while attempt := await ledger.leases(name).claim(["data"]):
            mine.append(attempt)
        return mine

    taken = [a for some in await asyncio.gather(*(take(f"w{n}") for n in range(12))) for a in some]
    assert sorted(attempt.id for attempt in taken) == sorted(jobs)
    assert len({attempt.token for attempt in taken}) == len(jobs)


async def test_the_oldest_job_comes_first_and_other_queues_are_left_alone(ledger: Ledger) -> None:
    first = await ledger.add()
    await ledger.add()
    assert await ledger.leases().claim(["ml", "general"]) is None
    assert (await claimed(ledger)).id == first


async def test_a_success_writes_the_result_and_the_domains_rows_at_once(ledger: Ledger) -> None:
    job = await ledger.add()
    attempt = await claimed(ledger)
    assert await succeed(ledger, attempt) is JobState.SUCCEEDED
    row = await ledger.job(job)
    assert (row.result, row.progress, row.problem) == ({"fine": True}, 1.0, None)
    assert row.finished_at is not None
    assert await ledger.effects(job) == ["applied"]
    assert await ledger.path(job) == ["queued", "running", "succeeded"]


async def test_a_domain_that_fails_leaves_the_job_running_and_nothing_written(ledger: Ledger) -> None:
    job = await ledger.add(apply_fails="on purpose")
    with pytest.raises(RuntimeError, match="on purpose"):
        await succeed(ledger, await claimed(ledger))
    assert await ledger.state(job) is JobState.RUNNING
    assert await ledger.effects(job) == []


async def test_the_end_of_a_zombie_is_refused_by_its_token(ledger: Ledger) -> None:
    job = await ledger.add()
    zombie = await claimed(ledger)
    await ledger.let_lease_expire(job)
    assert await ledger.sweep().run()
    second = await claimed(ledger)
    for end in (succeed, give_up, try_again):
        with pytest.raises(FencingRefused):
            await end(ledger, zombie)
    assert await ledger.leases().beat(zombie, News(progress=0.9)) is Answer.LOST
    assert not await ledger.leases().give_back(zombie)
    await succeed(ledger, second)
    with pytest.raises(FencingRefused):
        await succeed(ledger, second)
    assert await ledger.effects(job) == ["applied"]
    assert await ledger.path(job) == ["queued", "running", "queued", "running", "succeeded"]


async def test_a_heartbeat_renews_the_lease_by_the_databases_clock_and_carries_news(ledger: Ledger) -> None:
    job = await ledger.add()
    attempt = await claimed(ledger)
    before = (await ledger.job(job)).lease_until
    line = {"at": "now", "level": "info", "message": "half"}
    news = News(progress=0.5, stage="fitting", lines=[line], tail=[line])
    assert await ledger.leases().beat(attempt, news) is Answer.GO_ON
    row = await ledger.job(job)
    assert before is not None
    assert row.lease_until is not None
    assert row.lease_until > before
    assert (row.progress, row.stage, row.log_tail) == (0.5, "fitting", [line])
    kinds = await ledger.sql("SELECT kind FROM job_events WHERE job_id = :id ORDER BY seq", id=job)
    assert [kind for (kind,) in kinds] == ["state", "state", "stage", "progress", "log"]


async def test_an_expired_lease_goes_back_to_the_queue_and_fails_at_the_last_attempt(ledger: Ledger) -> None:
    job = await ledger.add(max_attempts=2)
    for attempt in (1, 2):
        assert (await claimed(ledger)).attempt == attempt
        await ledger.let_lease_expire(job)
        await ledger.sweep().run()
    row = await ledger.job(job)
    assert row.state is JobState.FAILED
    assert row.problem is not None
    assert row.problem["type"] == "urn:modelmill:problem:lease-expired"
    assert await ledger.effects(job) == ["undone"]
    assert await ledger.sql("SELECT value FROM job_counters WHERE name = 'lease_expired'") == [(2,)]


async def test_a_lease_that_is_renewed_is_not_expired(ledger: Ledger) -> None:
    job = await ledger.add()
    attempt = await claimed(ledger)
    await ledger.sweep().run()
    assert await ledger.leases().beat(attempt, News()) is Answer.GO_ON
    assert await ledger.state(job) is JobState.RUNNING


async def test_a_failed_attempt_is_repeated_until_the_last_one(ledger: Ledger) -> None:
    job = await ledger.add(max_attempts=2)
    assert await try_again(ledger, await claimed(ledger)) is JobState.QUEUED
    assert await try_again(ledger, await claimed(ledger)) is JobState.FAILED
    assert await ledger.path(job) == ["queued", "running", "queued", "running", "failed"]


async def test_a_job_given_back_is_not_charged_for_the_attempt(ledger: Ledger) -> None:
    job = await ledger.add(max_attempts=1)
    assert await ledger.leases().give_back(await claimed(ledger))
    assert (await ledger.job(job)).attempt == 0
    assert (await claimed(ledger)).attempt == 1


async def test_waiting_jobs_start_the_moment_the_awaited_one_succeeds(ledger: Ledger) -> None:
    first = await ledger.add()
    second = await ledger.add(waits_for=first)
    third = await ledger.add(waits_for=second)
    attempt = await claimed(ledger)
    assert (await ledger.state(second), await ledger.state(third)) == (JobState.WAITING, JobState.WAITING)
    await succeed(ledger, attempt)
    assert (await ledger.state(second), await ledger.state(third)) == (JobState.QUEUED, JobState.WAITING)
    assert second in ledger.wakes
    await succeed(ledger, await claimed(ledger))
    assert (await claimed(ledger)).id == third


async def test_a_whole_chain_fails_with_the_awaited_job_and_names_the_cause(ledger: Ledger) -> None:
    first = await ledger.add()
    second = await ledger.add(waits_for=first)
    third = await ledger.add(waits_for=second)
    await give_up(ledger, await claimed(ledger))
    for job in (second, third):
        row = await ledger.job(job)
        assert row.state is JobState.FAILED
        assert row.problem is not None
        assert "for a test" in row.problem["detail"]
        assert await ledger.effects(job) == ["undone"]


async def test_waiting_for_what_ended_already(ledger: Ledger) -> None:
    done = await ledger.add()
    await succeed(ledger, await claimed(ledger))
    assert await ledger.state(await ledger.add(waits_for=done)) is JobState.QUEUED
    failed = await ledger.add()
    await claimed(ledger)
    attempt = await claimed(ledger)
    assert attempt.id == failed
    await give_up(ledger, attempt)
    with pytest.raises(AwaitedJobFailed):
        await ledger.add(waits_for=failed)


async def test_a_job_of_another_tenant_cannot_be_waited_for(ledger: Ledger) -> None:
    theirs = await ledger.add()
    ledger.tenant = WorkspaceId(new_id())
    with pytest.raises(JobNotFound):
        await ledger.add(waits_for=theirs)


async def test_the_sweep_releases_what_its_end_did_not(ledger: Ledger) -> None:
    first = await ledger.add()
    second = await ledger.add(waits_for=first)
    await ledger.sql(
        "UPDATE jobs SET state = 'running', token = gen_random_uuid(), lease_until = clock_timestamp() WHERE id = :id",
        id=first,
    )
    await ledger.sql("UPDATE jobs SET state = 'succeeded' WHERE id = :id", id=first)
    await ledger.sweep(resend_after=60).run()
    assert await ledger.state(second) is JobState.QUEUED


async def test_the_sweep_sends_again_what_is_still_queued(ledger: Ledger) -> None:
    jobs = [await ledger.add() for _ in range(3)]
    ledger.wakes.clear()
    await ledger.sweep(resend_after=60).run()
    assert ledger.wakes == []
    await ledger.sweep().run()
    assert sorted(ledger.wakes) == sorted(jobs)


async def test_a_cancel_reaches_the_job_of_a_dead_worker_with_the_next_sweep(ledger: Ledger) -> None:
    job = await ledger.add()
    attempt = await claimed(ledger)
    async with ledger.databases.app.writing(ledger.tenant) as work:
        await service.cancel(work, ledger.endings, job)
    assert await ledger.leases().beat(attempt, News()) is Answer.CANCEL
    await ledger.let_lease_expire(job)
    await ledger.sweep().run()
    assert await ledger.state(job) is JobState.CANCELLED
    assert await ledger.effects(job) == ["undone"]


async def test_a_repeated_chain_waits_for_the_repetition(ledger: Ledger) -> None:
    first = await ledger.add()
    second = await ledger.add(waits_for=first)
    await give_up(ledger, await claimed(ledger))

    async def retry(job: JobId) -> JobRow:
        async with ledger.databases.app.writing(ledger.tenant) as work:
            return await service.retry(work, ledger.registry, job, UserId(new_id()))

    with pytest.raises(AwaitedJobFailed):
        await retry(second)
    again = await retry(first)
    assert (await retry(second)).waits_for == again.id
    await succeed(ledger, await claimed(ledger))
    await succeed(ledger, await claimed(ledger))


async def test_what_ended_long_ago_keeps_its_job_and_loses_its_events(ledger: Ledger) -> None:
    old = await ledger.add()
    await succeed(ledger, await claimed(ledger))
    waiting = await ledger.add()
    sweep = replace(ledger.sweep(), keep_events_days=0)
    await sweep.run()
    left = {row[0] for row in await ledger.sql("SELECT DISTINCT job_id FROM job_events")}
    assert left == {waiting}
    assert await ledger.state(old) is JobState.SUCCEEDED


@pytest.mark.parametrize("old", list(JobState))
async def test_the_database_refuses_illegal_moves(ledger: Ledger, old: JobState) -> None:
    for new in JobState:
        job = await bring_to(ledger, old)
        held = (
            "token = gen_random_uuid(), lease_until = clock_timestamp()" if new is JobState.RUNNING else "token = NULL"
        )
        move = f"UPDATE jobs SET state = '{new}', {held}, progress = 0.1 WHERE id = :id"
        if new in LEGAL_MOVES[old] or (new is old and not old.is_final):
            await ledger.sql(move, id=job)
            assert await ledger.state(job) is new
        else:
            with pytest.raises(DBAPIError, match=r"cannot move|has ended"):
                await ledger.sql(move, id=job)
            assert await ledger.state(job) is old


async def bring_to(ledger: Ledger, state: JobState) -> JobId:
    first = await ledger.add()
    if state is JobState.WAITING:
        return await ledger.add(waits_for=first)
    steps = {
        JobState.QUEUED: [],
        JobState.RUNNING: ["running"],
        JobState.SUCCEEDED: ["running", "succeeded"],
        JobState.FAILED: ["failed"],
        JobState.CANCELLED: ["cancelled"],
    }
    for step in steps[state]:
        held = ", token = gen_random_uuid(), lease_until = clock_timestamp()" if step == "running" else ""
        await ledger.sql(f"UPDATE jobs SET state = '{step}'{held} WHERE id = :id", id=first)
    return first


async def test_events_cannot_be_changed_and_other_tenants_see_none(ledger: Ledger) -> None:
    job = await ledger.add()
    async with ledger.databases.app.writing(ledger.tenant) as work:
        with pytest.raises(DBAPIError, match="permission denied"):
            await work.session.execute(text("UPDATE job_events SET data = '{}'"))
        await work.session.rollback()
        assert await work.session.scalar(text("SELECT count(*) FROM job_events WHERE job_id = :id"), {"id": job}) == 1
    for tenant in (None, WorkspaceId(new_id())):
        async with ledger.databases.app.reading(tenant) as reading:
            assert await reading.scalar(text("SELECT count(*) FROM job_events")) == 0
            assert await reading.scalar(text("SELECT count(*) FROM jobs")) == 0


async def test_the_platforms_own_jobs_are_forgotten_after_a_while_and_a_users_never(ledger: Ledger) -> None:
    old = "clock_timestamp() - interval '40 days'"
    for job, tenant in ((new_id(), None), (new_id(), ledger.tenant)):
        await ledger.sql(
            "INSERT INTO jobs (id, tenant_id, kind, queue, state, max_attempts, spec, finished_at)"
            f" VALUES (:id, :tenant, 'sweep', 'general', 'succeeded', 1, '{{}}', {old})",
            id=job,
            tenant=tenant,
        )
    assert await ledger.sweep().run()
    assert await ledger.sql("SELECT tenant_id FROM jobs") == [(ledger.tenant,)]
