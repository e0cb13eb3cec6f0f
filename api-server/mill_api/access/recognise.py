"""From a secret or a token to what it may do now. Called by the dependencies of every request."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mill_contracts.ids import KeyId, UserId, WorkspaceId
from mill_contracts.tokens import Role, Scope
from sqlalchemy import func, or_, select, update

from mill_api.access.errors import InvalidApiKey, WorkspaceNotFound
from mill_api.access.principal import Principal
from mill_api.access.tables import ApiKeyRow, MembershipRow
from mill_api.db import Database

_USED_RESOLUTION = timedelta(minutes=1)


def sha256_of(secret: str) -> str:
    """How a 256-bit random secret is stored and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def principal_of_key(database: Database, system: Database, secret: str) -> Principal:
    """The key's owner with the key's scopes, or `InvalidApiKey`: unknown, expired, revoked, its owner no longer a member."""
    statement = (
        select(ApiKeyRow, MembershipRow.role)
        .join(
            MembershipRow,
            (MembershipRow.tenant_id == ApiKeyRow.tenant_id) & (MembershipRow.user_id == ApiKeyRow.user_id),
        )
        .where(
            ApiKeyRow.sha256 == sha256_of(secret),
            ApiKeyRow.revoked_at.is_(None),
            or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > func.now()),
        )
    )
    async with system.reading() as session:
        found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise InvalidApiKey
    key, role = found
    await _note_use(database, key)
    return Principal(
        user_id=UserId(key.user_id),
        workspace_id=WorkspaceId(key.tenant_id),
        role=Role(role),
        scopes=frozenset(Scope(scope) for scope in key.scopes),
        key_id=KeyId(key.id),
        models=frozenset(key.model_ids),
    )


async def current_role(database: Database, principal: Principal) -> Principal:
    """`principal` with the role the database knows now. Raises `WorkspaceNotFound` for one who is no longer a member."""
    async with database.reading(principal.workspace_id) as session:
        role = await session.scalar(select(MembershipRow.role).where(MembershipRow.user_id == principal.user_id))
    if role is None:
        raise WorkspaceNotFound
    return replace(principal, role=Role(role))


async def _note_use(database: Database, key: ApiKeyRow) -> None:
    """Write `last_used_at`, at most once a minute, so that a busy key costs no write per request."""
    now = datetime.now(UTC)
    if key.last_used_at is not None and now - key.last_used_at < _USED_RESOLUTION:
        return
    async with database.writing(WorkspaceId(key.tenant_id)) as work:
        await work.session.execute(update(ApiKeyRow).where(ApiKeyRow.id == key.id).values(last_used_at=now))
