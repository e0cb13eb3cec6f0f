"""Deleting objects together with the rows that name them, however the process ends. Called by the services that delete rows.

The keys are noted in the transaction that deletes the rows. What is tried at once after the commit is a courtesy; the sweep
(`mill_api.housekeeping`) deletes every noted object, again where need be, and then the note.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from mill_kit.store import ObjectStore
from sqlalchemy import delete, insert, select

from mill_api.db import ReadSession, UnitOfWork
from mill_api.storage.tables import DoomedObjectRow

_AT_ONCE = 100


async def doom(work: UnitOfWork, objects: ObjectStore, keys: Iterable[str]) -> None:
    """Let `keys` be deleted from `objects` once this transaction is committed, and only then."""
    doomed = list(keys)
    if not doomed:
        return
    await work.session.execute(insert(DoomedObjectRow), [{"key": key} for key in doomed])
    work.after_commit(lambda: asyncio.to_thread(_delete, objects, doomed[:_AT_ONCE]))


async def doomed_objects(reading: ReadSession, after: UUID | None, limit: int) -> Sequence[DoomedObjectRow]:
    """The next notes of all workspaces, as mill_system."""
    query = select(DoomedObjectRow).order_by(DoomedObjectRow.id).limit(limit)
    if after is not None:
        query = query.where(DoomedObjectRow.id > after)
    return (await reading.scalars(query)).all()


async def forget_doomed(work: UnitOfWork, ids: Collection[UUID]) -> None:
    """Their objects are gone. As mill_system."""
    await work.session.execute(delete(DoomedObjectRow).where(DoomedObjectRow.id.in_(ids)))


def _delete(objects: ObjectStore, keys: Iterable[str]) -> None:
    for key in keys:
        objects.delete(key)
