"""The sweep: what was deleted goes however the process ended, what no row names goes when it is old, and nothing else."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient
from mill_api.housekeeping.handlers import SweepHandler
from mill_api.housekeeping.service import Housekeeping
from mill_api.jobs.ending import Databases
from mill_api.jobs.handlers import Attempt
from mill_api.parts import Parts
from mill_api.registry import NAMED_KEYS
from mill_api.settings import Settings
from mill_api.storage.doomed import doom
from mill_api.testing import Person
from mill_contracts.ids import WorkspaceId, new_id
from mill_contracts.jobs import JobKind, Queue
from mill_kit.store import ObjectStore, StoreUnavailable
from mill_kit.testing import FrozenClock, MemoryStore
from sqlalchemy import text

DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Broom:
    """A sweep of a store of its own, on the database of the application; `clock` says how old its objects are."""

    housekeeping: Housekeeping
    clock: FrozenClock
    parts: Parts

    @property
    def objects(self) -> ObjectStore:
        return self.housekeeping.objects

    async def notes(self) -> list[str]:
        async with self.parts.system.reading() as reading:
            return [row[0] for row in await reading.execute(text("SELECT key FROM doomed_objects ORDER BY key"))]


@pytest.fixture
async def broom(parts: Parts) -> AsyncIterator[Broom]:
    clock = FrozenClock()
    databases = Databases(parts.database, parts.system)
    made = Broom(Housekeeping(MemoryStore(clock), databases, NAMED_KEYS, DAY, clock=clock), clock, parts)
    await made.housekeeping.delete_doomed()
    yield made
    await made.housekeeping.delete_doomed()


def a_key(kind: str = "models", name: str = "model.mill") -> str:
    return f"{kind}/{new_id()}/{new_id()}/{name}"


async def dooming(broom: Broom, person: Person, keys: list[str], objects: ObjectStore) -> None:
    async with broom.parts.database.writing(WorkspaceId(person.workspace_id)) as work:
        await doom(work, objects, keys)


class _AwayStore(MemoryStore):
    """Takes objects and deletes none: what a process sees that dies right after its commit, or whose store is away."""

    def delete(self, key: str) -> None:
        raise StoreUnavailable(f"not now: {key}")


class _StubbornStore(MemoryStore):
    """Refuses to delete one object."""

    stubborn = ""

    def delete(self, key: str) -> None:
        if key == self.stubborn:
            raise StoreUnavailable("access denied")
        super().delete(key)


async def test_a_crash_between_commit_and_deletion_is_healed(broom: Broom, ada: Person) -> None:
    keys = [a_key() for _ in range(250)]
    for key in keys:
        broom.objects.put(key, b"x")
    await dooming(broom, ada, keys, _AwayStore())
    assert len(await broom.notes()) == 250
    assert all(broom.objects.exists(key) for key in keys)
    assert await broom.housekeeping.delete_doomed() == 250
    assert not any(broom.objects.exists(key) for key in keys)
    assert await broom.notes() == []


async def test_nothing_is_deleted_by_a_transaction_that_is_rolled_back(broom: Broom, ada: Person) -> None:
    key = a_key()
    broom.objects.put(key, b"x")

    async def fail() -> None:
        async with broom.parts.database.writing(WorkspaceId(ada.workspace_id)) as work:
            await doom(work, broom.objects, [key])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await broom.notes() == []
    assert broom.objects.exists(key)


async def test_deleting_is_tried_at_once_and_again_by_the_sweep(broom: Broom, ada: Person) -> None:
    key = a_key()
    broom.objects.put(key, b"x")
    await dooming(broom, ada, [key], broom.objects)
    assert not broom.objects.exists(key)
    assert await broom.notes() == [key]
    assert await broom.housekeeping.delete_doomed() == 1


async def test_a_store_that_is_away_ends_the_sweep_and_keeps_the_notes(broom: Broom, ada: Person) -> None:
    class Away(_AwayStore):
        def check(self) -> None:
            raise StoreUnavailable("not now")

    await dooming(broom, ada, [a_key()], _AwayStore())
    with pytest.raises(StoreUnavailable):
        await replace(broom.housekeeping, objects=Away()).delete_doomed()
    assert len(await broom.notes()) == 1


async def test_an_object_that_cannot_be_deleted_holds_up_no_other(broom: Broom, ada: Person) -> None:
    store, keys = _StubbornStore(), sorted(a_key() for _ in range(3))
    store.stubborn = keys[0]
    for key in keys:
        store.put(key, b"x")
    await dooming(broom, ada, keys, _AwayStore())
    assert await replace(broom.housekeeping, objects=store).delete_doomed() == 2
    assert await broom.notes() == [keys[0]]


async def test_the_notes_of_a_workspace_are_hidden_from_others(broom: Broom, ada: Person, bob: Person) -> None:
    await dooming(broom, ada, [a_key()], _AwayStore())
    for person, seen in ((ada, 1), (bob, 0)):
        async with broom.parts.database.reading(WorkspaceId(person.workspace_id)) as reading:
            assert await reading.scalar(text("SELECT count(*) FROM doomed_objects")) == seen


async def test_an_orphan_goes_when_it_is_old_and_a_young_one_never(broom: Broom) -> None:
    old = [a_key("datasets", "raw"), a_key(), a_key("scores", "raw"), a_key("jobs", "log.txt")]
    for key in old:
        broom.objects.put(key, b"x")
    broom.clock.advance(DAY.total_seconds() - 60)
    young = a_key()
    broom.objects.put(young, b"x")
    assert await broom.housekeeping.collect_orphans() == 0
    broom.clock.advance(120)
    assert await broom.housekeeping.collect_orphans() == 4
    assert list(broom.objects.keys()) == [young]


async def test_what_is_not_an_object_of_ours_is_left_alone(broom: Broom) -> None:
    others = ["identity", "published/000000000001.json", "models/readme.txt", f"models/{new_id()}/notes", "backups/x"]
    for key in others:
        broom.objects.put(key, b"x")
    broom.clock.advance(10 * DAY.total_seconds())
    assert await broom.housekeeping.collect_orphans() == 0
    assert sorted(broom.objects.keys()) == sorted(others)


async def test_an_object_that_a_row_names_is_never_collected(
    broom: Broom, ada: Person, bob: Person, named_by_rows: Any
) -> None:
    kept = [key for person in (ada, bob) for key in await named_by_rows(person)]
    assert {key.split("/")[0] for key in kept} == {"datasets", "models", "scores", "jobs"}
    lost = a_key()
    for key in (*kept, lost):
        broom.objects.put(key, b"x")
    broom.clock.advance(10 * DAY.total_seconds())
    assert await broom.housekeeping.collect_orphans() == 1
    assert sorted(broom.objects.keys()) == sorted(kept)


async def test_rows_that_cannot_be_read_end_the_sweep_before_it_deletes(broom: Broom, ada: Person) -> None:
    async def fails(_session: object) -> list[str]:
        raise ConnectionError

    key = a_key()
    broom.objects.put(key, b"x")
    broom.clock.advance(10 * DAY.total_seconds())
    blind = replace(broom.housekeeping, named={"models/": fails})
    with pytest.raises(ConnectionError):
        await blind.collect_orphans()
    assert broom.objects.exists(key)


async def test_half_written_files_of_a_killed_process_go_when_they_are_old(parts: Parts, settings: Settings) -> None:
    incoming = Path(settings.store.url.removeprefix("file://")) / ".incoming"
    (incoming / "left").write_bytes(b"half")
    os.utime(incoming / "left", (0, 0))
    databases = Databases(parts.database, parts.system)
    result = await Housekeeping(parts.store, databases, NAMED_KEYS, DAY).sweep()
    assert result["half_written"] == 1
    assert not (incoming / "left").exists()


async def test_a_second_sweep_leaves_the_work_to_the_first(broom: Broom) -> None:
    async with broom.parts.system.writing() as work:
        await work.session.execute(
            text(
                "INSERT INTO jobs (id, kind, queue, state, attempt, max_attempts, spec, token, lease_until)"
                " VALUES (:id, 'sweep', 'general', 'running', 1, 2, '{}', :id, clock_timestamp() + interval '1 day')"
            ),
            {"id": (running := new_id())},
        )
    handler = SweepHandler(broom.housekeeping)
    for job, expected in ((new_id(), {"left_to_another": True}), (running, None)):
        attempt = Attempt(job, None, JobKind.SWEEP, Queue.GENERAL, new_id(), 1, 2, {}, None, None)
        async with broom.parts.system.reading() as reading:
            errand = await handler.build(reading, attempt)
        assert expected is None or await errand() == expected
        assert expected is not None or errand == broom.housekeeping.sweep
    async with broom.parts.system.writing() as work:
        await work.session.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": running})


async def test_the_system_may_delete_the_platforms_own_jobs_alone(
    client: AsyncClient, ada: Person, parts: Parts
) -> None:
    project = (await client.post("/api/v1/projects", json={"name": "p"}, headers=ada.headers)).json()["id"]
    answer = await client.post(
        "/api/v1/datasets", data={"project_id": project}, files={"file": ("a.csv", b"a\n1\n")}, headers=ada.headers
    )
    job = answer.json()["job_id"]
    async with parts.system.writing() as work:
        await work.session.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": job})
    assert (await client.get(f"/api/v1/jobs/{job}", headers=ada.headers)).status_code == 200
