"""Signing in, staying signed in, signing out. Called by the `/api/v1/auth` endpoints.

These run before there is a tenant, so they open their own transactions: a stolen refresh token must end its family even
though the answer is a refusal.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mill_contracts.ids import UserId, WorkspaceId, new_id
from mill_contracts.tokens import Role
from mill_kit.logs import get_logger

from mill_api.access.audit import audit
from mill_api.access.errors import InvalidRefreshToken, RefreshTokenUsed, WorkspaceNotFound, WrongPassword
from mill_api.access.passwords import Passwords
from mill_api.access.principal import Principal
from mill_api.access.publisher import Publisher
from mill_api.access.recognise import sha256_of
from mill_api.access.repository import MembershipRepository, RefreshRepository, UserRepository
from mill_api.access.revocations import end_sign_in, end_sign_ins
from mill_api.access.schemas import Tokens
from mill_api.access.tables import RefreshFamilyRow, RefreshTokenRow
from mill_api.access.throttle import Throttle
from mill_api.access.tokens import TokenSigner
from mill_api.db import Database, UnitOfWork
from mill_api.settings import TokenSettings


@dataclass(frozen=True)
class AuthService:
    database: Database
    system: Database
    passwords: Passwords
    tokens: TokenSigner
    settings: TokenSettings
    throttle: Throttle
    publisher: Publisher

    async def sign_in(self, name: str, password: str, workspace: WorkspaceId | None, address: str | None) -> Tokens:
        """Tokens for the asked workspace, else the personal one. The same refusal, in the same time, whatever is wrong."""
        async with self.database.reading() as session:
            found = await UserRepository(session).sign_in(name)
        account = str(found[0].id) if found else name  # username and e-mail address of one user are one account
        await self.throttle.attempt(account, address or "")
        matches = await self.passwords.verify(found[1].password_hash if found else None, password)
        if found is None or not matches or not found[0].active:
            raise WrongPassword
        await self.throttle.succeeded(account, address or "")
        user = UserId(found[0].id)
        place, role = await self._membership(user, workspace)
        rehashed = await self.passwords.hash(password) if self.passwords.is_outdated(found[1].password_hash) else None
        family = RefreshFamilyRow(id=new_id(), user_id=user, workspace_id=place)
        async with self.database.writing(place) as work:
            if rehashed and (credential := await UserRepository(work.session).credential(user)):
                credential.password_hash = rehashed
            work.session.add(family)
            await work.session.flush()
            who = Principal(user, place, role, session_id=family.id, address=address)
            audit(work, who, "user.signed-in", "user", user)
            return self._issue(work, family, role)

    async def refresh(self, token: str, workspace: WorkspaceId | None = None) -> Tokens:
        """A new pair for an unused token; the old one is used up. May switch the workspace."""
        async with self.database.writing() as work:
            family = await RefreshRepository(work.session).rotate(sha256_of(token))
            if family is not None:
                place, role = await self._membership(
                    UserId(family.user_id), workspace or WorkspaceId(family.workspace_id)
                )
                family.workspace_id = place
                return self._issue(work, family, role)
        raise RefreshTokenUsed if await self._used_just_now(token) else InvalidRefreshToken

    async def sign_out(self, token: str, address: str | None) -> None:
        """End the whole family. Silent about tokens that were never ours."""
        async with self.database.reading() as session:
            family = await RefreshRepository(session).family_of(sha256_of(token))
        if family is not None and family.revoked_at is None:
            await self._end(family, "signed out", "user.signed-out", address)

    async def sign_out_everywhere(self, who: Principal) -> None:
        """End every sign-in of the user, this one too, in all workspaces. API keys go on."""
        async with self.database.writing(who.workspace_id) as work:
            await end_sign_ins(work, self.publisher, who.user_id, "signed out everywhere")
            audit(work, who, "user.signed-out-everywhere", "user", who.user_id)

    async def _used_just_now(self, token: str) -> bool:
        """Whether the token was used within the grace; a later reuse means theft and ends the family."""
        async with self.database.reading() as session:
            rotated = await RefreshRepository(session).rotated(sha256_of(token))
        if rotated is None:
            return False
        family, age = rotated
        if age <= self.settings.refresh_grace_seconds:
            return True
        if family.revoked_at is None:
            await self._end(family, "a used token came again", "user.refresh-token-reused", None)
            get_logger().warning("refresh_token_reused", family=str(family.id))
        return False

    async def _end(self, family: RefreshFamilyRow, because: str, action: str, address: str | None) -> None:
        user, place = UserId(family.user_id), WorkspaceId(family.workspace_id)
        async with self.database.writing(place) as work:
            await end_sign_in(work, self.publisher, user, family.id, because)
            who = Principal(user, place, Role.USER, session_id=family.id, address=address)
            audit(work, who, action, "user", user)

    async def _membership(self, user: UserId, workspace: WorkspaceId | None) -> tuple[WorkspaceId, Role]:
        async with self.system.reading() as session:
            places = await MembershipRepository(session).of_user(user)
        for membership, _ in places:
            if workspace is None or membership.tenant_id == workspace:
                return WorkspaceId(membership.tenant_id), Role(membership.role)
        raise WorkspaceNotFound

    def _issue(self, work: UnitOfWork, family: RefreshFamilyRow, role: Role) -> Tokens:
        secret = secrets.token_urlsafe(32)
        expires = datetime.now(UTC) + timedelta(days=self.settings.refresh_days)
        work.session.add(RefreshTokenRow(family_id=family.id, sha256=sha256_of(secret), expires_at=expires))
        access = self.tokens.issue(UserId(family.user_id), WorkspaceId(family.workspace_id), role, family.id)
        return Tokens(access_token=access, refresh_token=secret, expires_in=self.tokens.seconds)
