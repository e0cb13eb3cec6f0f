"""Deletes the objects that nothing needs: those whose rows were deleted, and those whose rows never came to be.

Called by the job `sweep`. An object without a row is left by a worker killed between upload and commit, by an attempt whose
token was refused, or by an upload whose transaction was lost. Whatever cannot be read or asked ends the sweep before it deletes.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mill_contracts.ids import WorkspaceId
from mill_kit.logs import get_logger
from mill_kit.store import ObjectStore, StoreUnavailable

from mill_api.access.repository import workspace_ids
from mill_api.db import ReadSession
from mill_api.housekeeping.retention import Retention
from mill_api.jobs.ending import Databases
from mill_api.jobs.repository import log_keys
from mill_api.jobs.tables import JsonObject
from mill_api.storage.doomed import doomed_objects, forget_doomed

_LOGS = "jobs/"
_OURS = re.compile(r"[a-z]+/[0-9a-f-]{36}/[0-9a-f-]{36}/.+")
_BATCH = 100

NamedKeys = Callable[[ReadSession], Awaitable[Iterable[str]]]
"""The object keys that one domain's rows name in the workspace of the session."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Housekeeping:
    """`named` tells by prefix who names its objects; a prefix nobody names is left alone, but for the logs of jobs.

    An object younger than `orphan_age` may still wait for its row.
    """

    objects: ObjectStore
    databases: Databases
    named: Mapping[str, NamedKeys]
    orphan_age: timedelta
    retention: Retention | None = None
    clock: Callable[[], datetime] = _now

    async def sweep(self) -> JsonObject:
        """All of it; the result of the job. Raises `StoreUnavailable`."""
        doomed = await self.delete_doomed()
        half_written = await asyncio.to_thread(self.objects.discard_before, self._long_ago)
        orphans = await self.collect_orphans()
        expired = await self.retention.run() if self.retention else 0
        return {"doomed": doomed, "half_written": half_written, "orphans": orphans, "expired": expired}

    async def delete_doomed(self) -> int:
        """Delete every noted object and then its note; one that cannot be deleted keeps it and holds up no other."""
        count, last = 0, None
        while True:
            async with self.databases.system.reading() as reading:
                notes = await doomed_objects(reading, last, _BATCH)
            if not notes:
                return count
            last = notes[-1].id
            gone = await asyncio.to_thread(self._delete, [note.key for note in notes])
            async with self.databases.system.writing() as work:
                await forget_doomed(work, [note.id for note in notes if note.key in gone])
            count += len(gone)

    async def collect_orphans(self) -> int:
        """The old objects are listed before the rows are read, so that every row that may name one is seen."""
        orphans = await asyncio.to_thread(self._old_keys)
        if orphans:
            await self._take_out_named(orphans)
        count, keys = 0, sorted(orphans)
        for start in range(0, len(keys), _BATCH):
            gone = await asyncio.to_thread(self._delete, keys[start : start + _BATCH])
            get_logger().info("orphans_deleted", keys=sorted(gone))
            count += len(gone)
        return count

    @property
    def _long_ago(self) -> datetime:
        return self.clock() - self.orphan_age

    def _old_keys(self) -> set[str]:
        """Keys of our own making only: what somebody else put into the store is not ours to judge."""
        moment = self._long_ago
        listed = (key for prefix in (*self.named, _LOGS) for key in self.objects.keys_before(moment, prefix))
        return {key for key in listed if _OURS.fullmatch(key)}

    async def _take_out_named(self, keys: set[str]) -> None:
        async with self.databases.system.reading() as reading:
            keys.difference_update(await log_keys(reading))
            tenants = await workspace_ids(reading)
        for tenant in tenants:
            async with self.databases.app.reading(WorkspaceId(tenant)) as reading:
                for named in self.named.values():
                    keys.difference_update(await named(reading))

    def _delete(self, keys: Iterable[str]) -> set[str]:
        """Those that are gone now. A store that is away ends the sweep; one that refuses a single object does not."""
        gone: set[str] = set()
        for key in keys:
            try:
                self.objects.delete(key)
            except StoreUnavailable as problem:
                self.objects.check()
                get_logger().warning("object_not_deleted", key=key, error=problem.detail)
            else:
                gone.add(key)
        return gone
