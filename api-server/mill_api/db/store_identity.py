"""The store and the database must belong together: a row names the store whose objects the other rows point to.

Called once at start by the api-server and the worker. The first start of all writes the name into both.
"""

import asyncio
from contextlib import suppress
from uuid import UUID

from mill_contracts.ids import new_id
from mill_kit.store import ObjectExists, ObjectMissing, ObjectStore
from sqlalchemy import CheckConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from mill_api.db.rows import Row
from mill_api.db.sessions import Database
from mill_api.errors import WrongStore

IDENTITY_KEY = "identity"


class StoreIdentityRow(Row):
    """At most one row: the id that the store's object `identity` holds."""

    __tablename__ = "store_identity"
    __table_args__ = (CheckConstraint("singleton", name="singleton"),)

    singleton: Mapped[bool] = mapped_column(server_default="true", unique=True)


async def require_same_store(database: Database, store: ObjectStore) -> UUID:
    """The store's identity. Raises `WrongStore` when database and store have never met, or met others."""
    named = await _row(database)
    found = await asyncio.to_thread(_read, store)
    if named is None:
        if found is None:
            found = await asyncio.to_thread(_write, store)
        named = await _remember(database, found)
    if found is None:
        raise WrongStore(
            f"The database belongs to store {named}, but this store carries no identity: is it another one, or empty?"
        )
    if found != named:
        raise WrongStore(f"The database belongs to store {named}, but this is store {found}: check MILL_STORE__URL")
    return named


async def _row(database: Database) -> UUID | None:
    async with database.reading() as session:
        return await session.scalar(select(StoreIdentityRow.id))


async def _remember(database: Database, identity: UUID) -> UUID:
    """What the database says afterwards: two services may start at once, and the first one wins."""
    async with database.writing() as work:
        await work.session.execute(insert(StoreIdentityRow).values(id=identity).on_conflict_do_nothing())
    return await _row(database) or identity


def _read(store: ObjectStore) -> UUID | None:
    try:
        return UUID(store.get(IDENTITY_KEY).decode("ascii"))
    except ObjectMissing:
        return None
    except ValueError:
        raise WrongStore("The store's object `identity` is not one of ours") from None


def _write(store: ObjectStore) -> UUID:
    identity = new_id()
    with suppress(ObjectExists):
        store.put(IDENTITY_KEY, str(identity).encode())
    return _read(store) or identity
