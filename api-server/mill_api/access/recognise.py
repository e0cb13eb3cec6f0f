"""From a secret or a token to what it may do now. Called by the dependencies of every request."""

import hashlib
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hmac import compare_digest

from mill_contracts.ids import KeyId, UserId, WorkspaceId
from mill_contracts.tokens import API_KEY_PREFIX, Role, Scope
from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.errors import InvalidApiKey, InvalidToken
from mill_api.access.principal import Principal
from mill_api.access.tables import ApiKeyRow, MembershipRow, RefreshFamilyRow, UserRow
from mill_api.db import Database

_USED_RESOLUTION = timedelta(minutes=1)
_SHOWN = len(API_KEY_PREFIX) + 6


def sha256_of(secret: str) -> str:
    """How a 256-bit random secret is stored and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()


def shown_part(key: str) -> str:
    """The beginning of an API key that may be shown: its owner tells keys apart by it, and a request finds its row."""
    return key[:_SHOWN]


@dataclass(frozen=True)
class KeyOwner:
    """What a key stands for. `seconds_left` until it expires: infinite where it never does."""

    principal: Principal
    seconds_left: float
    last_used_at: datetime | None


async def owner_of_key(system: Database, secret: str) -> KeyOwner:
    """The key's owner with the key's scopes, or `InvalidApiKey`: unknown, expired, revoked, its owner no longer a member.

    One short transaction, over before anything else is done for the request.
    """
    statement = (
        select(ApiKeyRow, MembershipRow.role)
        .join(
            MembershipRow,
            (MembershipRow.tenant_id == ApiKeyRow.tenant_id) & (MembershipRow.user_id == ApiKeyRow.user_id),
        )
        .join(UserRow, (UserRow.id == ApiKeyRow.user_id) & UserRow.active)
        .where(ApiKeyRow.prefix == shown_part(secret), *_living_key())
    )
    async with system.reading() as session:
        candidates = (await session.execute(statement)).all()
    digest = sha256_of(secret)
    found = [(key, role) for key, role in candidates if compare_digest(key.sha256, digest)]
    if not found:
        raise InvalidApiKey
    key, role = found[0]
    principal = Principal(
        user_id=UserId(key.user_id),
        workspace_id=WorkspaceId(key.tenant_id),
        role=Role(role),
        scopes=frozenset(Scope(scope) for scope in key.scopes),
        key_id=KeyId(key.id),
        models=frozenset(key.model_ids),
    )
    left = math.inf if key.expires_at is None else (key.expires_at - datetime.now(UTC)).total_seconds()
    return KeyOwner(principal, left, key.last_used_at)


async def as_of_now(database: Database, claimed: Principal) -> Principal:
    """What a signed token claims, with the role the database knows now.

    Raises `InvalidToken` for one who is no longer a member, and for a sign-in that has ended: a signature outlives both.
    """
    async with database.reading(claimed.workspace_id) as session:
        found = (await session.execute(_sign_in_of(claimed))).one_or_none()
    if found is None:
        raise InvalidToken("You are no longer a member of this workspace; sign in again")
    role, revoked_at = found
    if revoked_at is not None:
        raise InvalidToken("This sign-in has ended; sign in again")
    return replace(claimed, role=Role(role))


async def is_still_let_in(session: AsyncSession, who: Principal) -> bool:
    """Whether the sign-in or the key that `who` came with still counts: for answers that go on for minutes.

    `session` is of their workspace.
    """
    if who.key_id is None:
        found = (await session.execute(_sign_in_of(who))).one_or_none()
        return found is not None and found[1] is None
    statement = (
        select(ApiKeyRow.id)
        .join(MembershipRow, MembershipRow.user_id == ApiKeyRow.user_id)
        .join(UserRow, (UserRow.id == ApiKeyRow.user_id) & UserRow.active)
        .where(ApiKeyRow.id == who.key_id, *_living_key())
    )
    return await session.scalar(statement) is not None


def _sign_in_of(who: Principal) -> Select[str, datetime | None]:
    """The role of a member, and when the sign-in ended."""
    return (
        select(MembershipRow.role, RefreshFamilyRow.revoked_at)
        .join(UserRow, (UserRow.id == MembershipRow.user_id) & UserRow.active)
        .join(RefreshFamilyRow, (RefreshFamilyRow.user_id == UserRow.id) & (RefreshFamilyRow.id == who.session_id))
        .where(MembershipRow.user_id == who.user_id)
    )


def _living_key() -> tuple[ColumnElement[bool], ...]:
    return ApiKeyRow.revoked_at.is_(None), or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > func.now())


async def note_use(database: Database, owner: KeyOwner) -> None:
    """Write `last_used_at`, at most once a minute, so that a busy key costs no write per request."""
    now, who = datetime.now(UTC), owner.principal
    if owner.last_used_at is not None and now - owner.last_used_at < _USED_RESOLUTION:
        return
    async with database.writing(who.workspace_id) as work:
        await work.session.execute(update(ApiKeyRow).where(ApiKeyRow.id == who.key_id).values(last_used_at=now))
