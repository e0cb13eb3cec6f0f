"""Registering, signing in, staying signed in, signing out. Called by the `/api/v1/auth` endpoints.

These run before there is a tenant, so they open their own transactions: a stolen refresh token must end its family even
though the answer is a refusal.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mill_contracts.ids import UserId, WorkspaceId, new_id
from mill_contracts.tokens import Role
from mill_kit.logs import get_logger
from sqlalchemy.exc import IntegrityError

from mill_api.access.audit import audit
from mill_api.access.errors import (
    EmailTaken,
    InvalidRefreshToken,
    RefreshTokenUsed,
    UsernameTaken,
    WorkspaceNotFound,
    WrongPassword,
)
from mill_api.access.passwords import Passwords
from mill_api.access.principal import Principal
from mill_api.access.recognise import sha256_of
from mill_api.access.repository import MembershipRepository, RefreshRepository, UserRepository
from mill_api.access.schemas import Registration, Tokens
from mill_api.access.tables import (
    CredentialRow,
    MembershipRow,
    RefreshFamilyRow,
    RefreshTokenRow,
    UserRow,
    WorkspaceRow,
)
from mill_api.access.throttle import Throttle
from mill_api.access.tokens import TokenSigner
from mill_api.db import Database, UnitOfWork
from mill_api.db.conflicts import violated_constraint
from mill_api.settings import TokenSettings


@dataclass(frozen=True)
class AuthService:
    database: Database
    system: Database
    passwords: Passwords
    tokens: TokenSigner
    settings: TokenSettings
    throttle: Throttle

    async def register(self, wanted: Registration) -> UserRow:
        """A user and a personal workspace whose admin they are."""
        hashed = await self.passwords.hash(wanted.password.get_secret_value())
        workspace = WorkspaceId(new_id())
        user = UserRow(id=new_id(), email=wanted.email, username=wanted.username, full_name=wanted.full_name)
        async with self.database.writing(workspace) as work:
            work.session.add_all([user, WorkspaceRow(id=workspace, name=wanted.username, personal=True)])
            await _flush_new_user(work)
            work.session.add(CredentialRow(user_id=user.id, password_hash=hashed))
            work.session.add(MembershipRow(tenant_id=workspace, user_id=user.id, role=Role.ADMIN.value))
            audit(work, Principal(UserId(user.id), workspace, Role.ADMIN), "user.registered", "user", user.id)
        return user

    async def sign_in(self, name: str, password: str, workspace: WorkspaceId | None, address: str) -> Tokens:
        """Tokens for the asked workspace, else the personal one. The same refusal, in the same time, whatever is wrong."""
        await self.throttle.attempt(name, address)
        async with self.database.reading() as session:
            found = await UserRepository(session).sign_in(name)
        matches = await self.passwords.verify(found[1].password_hash if found else None, password)
        if found is None or not matches or not found[0].active:
            raise WrongPassword
        await self.throttle.succeeded(name, address)
        user = UserId(found[0].id)
        place, role = await self._membership(user, workspace)
        rehashed = await self.passwords.hash(password) if self.passwords.is_outdated(found[1].password_hash) else None
        family = RefreshFamilyRow(id=new_id(), user_id=user, workspace_id=place)
        async with self.database.writing(place) as work:
            if rehashed and (credential := await UserRepository(work.session).credential(user)):
                credential.password_hash = rehashed
            work.session.add(family)
            await work.session.flush()
            audit(work, Principal(user, place, role), "user.signed-in", "user", user)
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
            used = await self._punish_reuse(work, token)
        raise RefreshTokenUsed if used else InvalidRefreshToken

    async def sign_out(self, token: str) -> None:
        """End the whole family. Silent about tokens that were never ours."""
        async with self.database.writing() as work:
            refreshing = RefreshRepository(work.session)
            family = await refreshing.family_of(sha256_of(token))
            if family is not None:
                await refreshing.revoke(family, "signed out")

    async def _punish_reuse(self, work: UnitOfWork, token: str) -> bool:
        """Whether the token was used within the grace; a later reuse means theft and ends the family."""
        refreshing = RefreshRepository(work.session)
        rotated = await refreshing.rotated(sha256_of(token))
        if rotated is None:
            return False
        family, age = rotated
        if age <= self.settings.refresh_grace_seconds:
            return True
        await refreshing.revoke(family, "a used token came again")
        get_logger().warning("refresh_token_reused", family=str(family))
        return False

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
        access = self.tokens.issue(UserId(family.user_id), WorkspaceId(family.workspace_id), role)
        return Tokens(access_token=access, refresh_token=secret, expires_in=self.tokens.seconds)


async def _flush_new_user(work: UnitOfWork) -> None:
    try:
        await work.session.flush()
    except IntegrityError as error:
        if violated_constraint(error) == "uq_users_username_lower":
            raise UsernameTaken("Choose another username") from None
        raise EmailTaken("Sign in instead, or use another address") from None
