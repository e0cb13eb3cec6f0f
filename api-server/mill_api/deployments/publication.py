"""How the data plane learns: every change gets the next number, is signed, written once, and announced.

`changed` is called inside the transaction of a change and only notes that there is something to tell. `publish` runs after
the commit, and every few seconds in case that was lost: it turns all notes into one snapshot of what is committed by then.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mill_contracts.ids import new_id
from mill_contracts.routing import (
    SNAPSHOT_CHANNEL,
    SNAPSHOT_KEY,
    ApiKeyEntry,
    Route,
    RoutingSnapshot,
    SignedSnapshot,
    snapshot_object_key,
)
from mill_contracts.tokens import Role, Scope
from mill_kit.logs import get_logger
from mill_kit.signing import key_id, sign
from mill_kit.store import ObjectExists, ObjectStore
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import Uuid, cast, delete, func, insert, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.revocations import recent_revocations
from mill_api.access.tables import ApiKeyRow, MembershipRow
from mill_api.cache import publish
from mill_api.db import Database, UnitOfWork
from mill_api.deployments.tables import PublicationChangeRow, PublicationRow, PublishedRouteRow

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('mill.publication'))")
_KEPT = 100


class NotedChanges:
    """Implements `access.publisher.Publisher` without a signing key: the worker notes, the api-server tells within seconds."""

    async def changed(self, work: UnitOfWork) -> None:
        tenant = cast(func.current_setting("mill.tenant"), Uuid)
        await work.session.execute(insert(PublicationChangeRow).values(id=new_id(), tenant_id=tenant))


@dataclass(frozen=True)
class Publication(NotedChanges):
    """Implements `access.publisher.Publisher`. `system` is the database as mill_system, who sees the routes of all tenants.

    A snapshot is renewed after `renew_after` even when nothing changed, so that replicas can tell silence from an old truth.
    `committed` is called in this process as soon as a change is there.
    """

    system: Database
    objects: ObjectStore
    cache: Redis
    private_key: Ed25519PrivateKey
    renew_after: timedelta = field(default=timedelta(hours=1))
    committed: Callable[[], None] = field(default=lambda: None)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def changed(self, work: UnitOfWork) -> None:
        await super().changed(work)
        work.after_commit(self._after_change)

    async def _after_change(self) -> None:
        self.committed()
        await self.publish()

    async def publish(self) -> None:
        """Sign what has changed, then deliver whatever is signed and not yet delivered. Safe to call at any time, by many.

        Many wait for their turn here, not for the lock in the database, where each would keep a connection meanwhile.
        """
        async with self._turn:
            await self._sign()
            await self._deliver()

    async def run(self, every_seconds: float) -> None:
        """Publish for ever; a failure is logged and tried again."""
        while True:
            try:
                await self.publish()
                await self.announce_newest()
            except Exception as error:
                get_logger().error("publication_failed", error=repr(error))
            await asyncio.sleep(every_seconds)

    async def _sign(self) -> None:
        async with self.system.writing() as work:
            session = work.session
            await session.execute(_LOCK)
            noted = (await session.execute(delete(PublicationChangeRow).returning(PublicationChangeRow.id))).all()
            newest = await _newest(session)
            if newest is not None and not noted and datetime.now(UTC) - newest.created_at < self.renew_after:
                return
            number = 1 if newest is None else newest.number + 1
            session.add(PublicationRow(number=number, document=self._document(await _snapshot(session, number))))
            await session.flush()

    async def _deliver(self) -> None:
        async with self.system.writing() as work:
            await work.session.execute(_LOCK)
            waiting = select(PublicationRow).where(PublicationRow.written_at.is_(None)).order_by(PublicationRow.number)
            rows = (await work.session.scalars(waiting)).all()
            for row in rows:
                await self._announce(row)  # first: a revoked key must not wait for a store that is away
                await asyncio.to_thread(self._write, row)
                row.written_at = datetime.now(UTC)
            if rows:
                await self._forget(work.session, rows[-1].number - _KEPT)
            await work.session.flush()

    def _document(self, snapshot: RoutingSnapshot) -> str:
        payload = snapshot.model_dump_json()
        signed = SignedSnapshot(
            key_id=key_id(self.private_key.public_key()), payload=payload, signature=sign(payload, self.private_key)
        )
        return signed.model_dump_json()

    def _write(self, row: PublicationRow) -> None:
        key, data = snapshot_object_key(row.number), row.document.encode()
        try:
            self.objects.put(key, data)
        except ObjectExists:
            self.objects.get(key, sha256=hashlib.sha256(data).hexdigest())

    async def _announce(self, row: PublicationRow) -> None:
        """Redis makes it quick; a replica that misses it finds the object within seconds."""
        try:
            await self.cache.set(SNAPSHOT_KEY, row.document)
            await publish(self.cache, SNAPSHOT_CHANNEL, row.document)
        except (RedisError, OSError) as error:
            get_logger().warning("announcement_failed", number=row.number, error=repr(error))

    async def announce_newest(self) -> None:
        """Put the newest snapshot back where a flushed or restarted Redis lost it."""
        async with self.system.reading() as session:
            newest = await _newest(session)
        if newest is not None and newest.written_at is not None and not await self.cache.exists(SNAPSHOT_KEY):
            await self._announce(newest)

    async def _forget(self, session: AsyncSession, number: int) -> None:
        old = delete(PublicationRow).where(PublicationRow.number < number).returning(PublicationRow.number)
        for gone in (await session.scalars(old)).all():
            await asyncio.to_thread(self.objects.delete, snapshot_object_key(gone))


async def _newest(session: AsyncSession) -> PublicationRow | None:
    return await session.scalar(select(PublicationRow).order_by(PublicationRow.number.desc()).limit(1))


async def _snapshot(session: AsyncSession, number: int) -> RoutingSnapshot:
    routes = await session.scalars(select(PublishedRouteRow.route).order_by(PublishedRouteRow.id))
    keys = await session.execute(
        select(ApiKeyRow, MembershipRow.role)
        .join(
            MembershipRow,
            (MembershipRow.tenant_id == ApiKeyRow.tenant_id) & (MembershipRow.user_id == ApiKeyRow.user_id),
        )
        .where(
            ApiKeyRow.revoked_at.is_(None),
            or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > func.now()),
        )
        .order_by(ApiKeyRow.id)
    )
    return RoutingSnapshot(
        number=number,
        issued_at=datetime.now(UTC),
        routes=tuple(_route(document) for document in routes),
        api_keys=tuple(_entry(row, Role(role)) for row, role in keys),
        revocations=tuple(await recent_revocations(session)),
    )


def _route(document: Mapping[str, Any]) -> Route:
    return Route.model_validate(document)


def _entry(row: ApiKeyRow, role: Role) -> ApiKeyEntry:
    """A key of somebody whose role has come down writes no longer."""
    scopes = [scope for scope in row.scopes if scope != Scope.WRITE or role is not Role.USER]
    return ApiKeyEntry(
        key_id=row.id,
        workspace_id=row.tenant_id,
        user_id=row.user_id,
        sha256=row.sha256,
        scopes=tuple(scopes),
        models=tuple(row.model_ids),
        expires_at=row.expires_at,
    )
