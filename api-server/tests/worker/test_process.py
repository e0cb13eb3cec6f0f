"""Real worker processes on real PostgreSQL and Valkey: what is killed, frozen or stopped loses and doubles nothing."""

import asyncio
import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from mill_api.jobs import service
from mill_api.jobs.testing import Ledger, until
from mill_api.jobs.workers import is_alive as is_seen_alive
from mill_contracts.jobs import JobKind, JobState, Queue

DONE: dict[str, Any] = {"say": {"kind": "succeeded", "files": []}}


async def until_written(path: Path, lines: int = 1) -> list[int]:
    async def written() -> bool:
        return len(numbers_in(path)) >= lines

    await until(written, f"{lines} lines in {path.name}")
    return numbers_in(path)


def numbers_in(path: Path) -> list[int]:
    text = path.read_text() if path.exists() else ""
    return [int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def waiting_child(started: Path, go: Path) -> list[dict[str, Any]]:
    """A child that says it began, and ends when it may."""
    return [{"touch": str(started)}, {"wait_for": str(go)}, DONE]


async def test_a_hint_starts_the_job_and_its_result_log_and_events_are_kept(
    work_ledger: Ledger, workers: Any, tmp_path: Path
) -> None:
    workers.start()
    await work_ledger.until_heard()
    steps = [
        {"say": {"kind": "stage", "stage": "fitting"}},
        {"say": {"kind": "progress", "fraction": 0.25}},
        {"say": {"kind": "log", "message": "one <NUL> line"}},
        {"print": "plain"},
        {"out": "thing.txt"},
        {"say": {"kind": "succeeded", "files": ["thing.txt"]}},
    ]
    job = await work_ledger.add(steps=steps)
    await work_ledger.until_state(job, JobState.SUCCEEDED)
    row = await work_ledger.job(job)
    assert row.result is not None
    objects = tmp_path / "installation" / "objects"
    assert await work_ledger.effects(job) == ["applied"]
    assert [line["message"] for line in row.log_tail] == ["one \ufffd line", "plain"]
    assert row.log_key == f"jobs/{job}/{row.token}/log.txt"
    assert any(path.is_file() for path in objects.rglob("log.txt"))
    assert list((tmp_path / "scratch" / "one").iterdir()) == []


async def test_kill_9_of_the_worker_leaves_no_child_and_another_finishes_the_job_once(
    work_ledger: Ledger, workers: Any, tmp_path: Path
) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    first = workers.start("one")
    job = await work_ledger.add(steps=[{"deaf": True}, *waiting_child(started, go)])
    (child,) = await until_written(started)
    first.kill()
    first.wait()

    async def gone() -> bool:
        return not is_alive(child)

    await until(gone, "the child of the killed worker is gone", seconds=5)
    workers.start("two")
    await until_written(started, 2)
    go.touch()
    await work_ledger.until_state(job, JobState.SUCCEEDED)
    assert await work_ledger.effects(job) == ["applied"]
    assert await work_ledger.path(job) == ["queued", "running", "queued", "running", "succeeded"]


async def test_sigterm_returns_the_job_uncharged_and_the_worker_leaves_within_seconds(
    work_ledger: Ledger, workers: Any, tmp_path: Path
) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    worker = workers.start()
    job = await work_ledger.add(max_attempts=1, steps=waiting_child(started, go))
    (child,) = await until_written(started)
    asked = time.monotonic()
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 15) == 0, workers.log()
    assert time.monotonic() - asked < 8
    assert not is_alive(child)
    row = await work_ledger.job(job)
    assert (row.state, row.attempt) == (JobState.QUEUED, 0)
    go.touch()
    workers.start("two")
    await work_ledger.until_state(job, JobState.SUCCEEDED)


async def test_a_frozen_worker_that_wakes_up_after_its_lease_changes_nothing(
    work_ledger: Ledger, workers: Any, tmp_path: Path
) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    frozen = workers.start("one")
    job = await work_ledger.add(steps=waiting_child(started, go))
    await until_written(started)
    frozen.send_signal(signal.SIGSTOP)
    workers.start("two")
    await until_written(started, 2)
    go.touch()
    await work_ledger.until_state(job, JobState.SUCCEEDED)
    token = (await work_ledger.job(job)).token
    frozen.send_signal(signal.SIGCONT)

    async def refused() -> bool:
        return bool(await work_ledger.sql("SELECT value FROM job_counters WHERE name = 'fencing_refused'"))

    await until(refused, "the zombie was refused")
    assert await work_ledger.sql("SELECT token, effect FROM witness") == [(token, "applied")]
    assert (await work_ledger.path(job)).count("succeeded") == 1


async def test_a_crash_is_repeated_and_then_named_while_other_jobs_go_on(work_ledger: Ledger, workers: Any) -> None:
    workers.start()
    poison = await work_ledger.add(max_attempts=2, steps=[{"print": "last words"}, {"signal": int(signal.SIGSEGV)}])
    healthy = await work_ledger.add(steps=[DONE])
    await work_ledger.until_state(poison, JobState.FAILED)
    await work_ledger.until_state(healthy, JobState.SUCCEEDED)
    row = await work_ledger.job(poison)
    assert row.attempt == 2
    assert row.problem is not None
    assert row.problem["detail"] == "The process was killed by SIGSEGV; its last words: last words"
    assert await work_ledger.effects(poison) == ["undone"]


async def test_a_refusal_fails_at_once_with_the_childs_own_problem(work_ledger: Ledger, workers: Any) -> None:
    workers.start()
    problem = {"type": "urn:modelmill:problem:x", "title": "X", "status": 422, "detail": "line 3 <NUL> is ragged"}
    job = await work_ledger.add(steps=[{"say": {"kind": "refused", "problem": problem}}])
    await work_ledger.until_state(job, JobState.FAILED)
    row = await work_ledger.job(job)
    assert row.attempt == 1
    assert row.problem == problem | {"detail": "line 3 \ufffd is ragged"}


async def test_too_much_memory_fails_and_too_much_time_is_not_tried_twice(work_ledger: Ledger, workers: Any) -> None:
    workers.start(queues="data,ml")
    greedy = await work_ledger.add(max_attempts=1, steps=[{"hold": 400 * 2**20}])
    slow = await work_ledger.add(kind=(JobKind.TRAIN, Queue.ML), steps=[{"wait_for": "/nowhere"}])
    for job, slug in ((greedy, "job-memory-exceeded"), (slow, "job-time-exceeded")):
        await work_ledger.until_state(job, JobState.FAILED)
        row = await work_ledger.job(job)
        assert row.problem is not None
        assert row.problem["type"] == f"urn:modelmill:problem:{slug}"
        assert row.attempt == 1


async def test_a_domain_that_cannot_write_its_result_costs_attempts_not_the_worker(
    work_ledger: Ledger, workers: Any
) -> None:
    workers.start()
    job = await work_ledger.add(max_attempts=2, steps=[DONE], apply_fails="on purpose")
    await work_ledger.until_state(job, JobState.FAILED)
    row = await work_ledger.job(job)
    assert row.attempt == 2
    assert row.problem is not None
    assert "RuntimeError while its result was written down" in row.problem["detail"]
    assert await work_ledger.effects(job) == ["undone"]


@pytest.mark.parametrize(("part", "sign"), [("store_needs", "store_away"), ("apply_needs", "commit_waits")])
async def test_a_part_that_is_away_when_the_work_is_done_costs_no_attempt(
    work_ledger: Ledger, workers: Any, tmp_path: Path, part: str, sign: str
) -> None:
    done, back = tmp_path / "done", tmp_path / "back"
    workers.start()
    spec: dict[str, Any] = {"steps": [{"touch": str(done)}, DONE], part: str(back)}
    job = await work_ledger.add(max_attempts=1, **spec)

    async def waits() -> bool:
        return sign in workers.log()

    await until(waits, "the worker waits for what is away")
    back.touch()
    await work_ledger.until_state(job, JobState.SUCCEEDED)
    assert (await work_ledger.job(job)).attempt == 1
    assert len(await until_written(done)) == 1


async def test_cancelling_a_running_job_ends_its_child(work_ledger: Ledger, workers: Any, tmp_path: Path) -> None:
    started = tmp_path / "started"
    workers.start()
    job = await work_ledger.add(steps=[{"deaf": True}, *waiting_child(started, tmp_path / "never")])
    (child,) = await until_written(started)
    async with work_ledger.databases.app.writing(work_ledger.tenant) as work:
        await service.cancel(work, work_ledger.endings, job)
    await work_ledger.until_state(job, JobState.CANCELLED)
    assert not is_alive(child)
    assert await work_ledger.effects(job) == ["undone"]


async def test_a_schedule_makes_one_job_of_each_tick_with_two_reconcilers(work_ledger: Ledger, workers: Any) -> None:
    for name in ("one", "two"):
        workers.start(name, queues="general", TICK_SECONDS="1")

    async def four() -> bool:
        rows = await work_ledger.sql("SELECT due FROM schedule_runs")
        return len(rows) >= 4

    await until(four, "four ticks")
    runs = await work_ledger.sql("SELECT due, job_id FROM schedule_runs ORDER BY due")
    jobs = await work_ledger.sql("SELECT id FROM jobs WHERE kind = 'sweep'")
    assert len(jobs) >= len(runs)
    gaps = {(later[0] - earlier[0]).total_seconds() for earlier, later in itertools.pairwise(runs)}
    assert gaps <= {1.0, 2.0, 3.0}

    async def all_done() -> bool:
        rows = await work_ledger.sql("SELECT count(*), count(DISTINCT job_id) FROM witness")
        return rows[0][0] >= 4

    await until(all_done, "their jobs ran")


@pytest.mark.parametrize("kind", ["sigint", "sigterm"])
async def test_an_idle_worker_leaves_at_once(work_ledger: Ledger, workers: Any, kind: str) -> None:
    worker = workers.start()
    await work_ledger.until_heard()
    os.kill(worker.pid, signal.SIGINT if kind == "sigint" else signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, 10) == 0, workers.log()
    assert await work_ledger.sql("SELECT name FROM workers") == []


async def test_a_health_check_tells_a_living_worker_from_a_frozen_one(work_ledger: Ledger, workers: Any) -> None:
    worker = workers.start()
    await work_ledger.until_heard()
    system = work_ledger.databases.system

    async def alive() -> bool:
        return await is_seen_alive(system, "one", seen_within=1.5, heard_within=5)

    async def frozen() -> bool:
        return not await alive()

    assert await alive()
    assert not await is_seen_alive(system, "nobody", seen_within=1.5, heard_within=5)
    worker.send_signal(signal.SIGSTOP)
    await until(frozen, "the frozen worker is found out")
