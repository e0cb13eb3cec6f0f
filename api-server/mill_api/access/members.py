"""Who belongs to a workspace, as what. Called by the `/users` endpoints."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mill_contracts.ids import UserId
from mill_contracts.tokens import Role
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from mill_api.access.audit import audit
from mill_api.access.errors import AlreadyMember, LastAdmin, OwnerStays, UserNotFound, WrongPassword
from mill_api.access.passwords import Passwords
from mill_api.access.principal import Principal
from mill_api.access.publisher import Publisher
from mill_api.access.repository import KeyRepository, MembershipRepository, UserRepository
from mill_api.access.revocations import distrust_tokens, end_sign_ins
from mill_api.access.schemas import NewMember, ProfileChange
from mill_api.access.tables import MembershipRow, UserRow, WorkspaceRow
from mill_api.db import UnitOfWork


@dataclass(frozen=True)
class MemberService:
    """The members of `who`'s workspace, changed inside `work`."""

    work: UnitOfWork
    who: Principal
    publisher: Publisher

    @property
    def members(self) -> MembershipRepository:
        return MembershipRepository(self.work.session)

    async def add(self, wanted: NewMember) -> tuple[MembershipRow, UserRow]:
        user = await UserRepository(self.work.session).by_email(wanted.email)
        if user is None:
            raise UserNotFound("Nobody is registered with this e-mail address; invite them instead")
        row = MembershipRow(tenant_id=self.who.workspace_id, user_id=user.id, role=wanted.role.value)
        self.work.session.add(row)
        try:
            await self.work.session.flush()
        except IntegrityError:
            raise AlreadyMember(f"{wanted.email} is a member; change the role instead") from None
        audit(self.work, self.who, "member.added", "user", user.id, role=wanted.role)
        return row, user

    async def change_role(self, user: UserId, role: Role) -> tuple[MembershipRow, UserRow]:
        """Counts at once here, and within a second on ml-service."""
        row, person = await self._get(user)
        if role is not Role.ADMIN:
            await self._let_go(user)
        audit(self.work, self.who, "member.role-changed", "user", user, before=row.role, after=role)
        row.role = role.value
        await distrust_tokens(self.work, self.publisher, user, workspace=self.who.workspace_id)
        return row, person

    async def remove(self, user: UserId) -> None:
        """The membership ends at once, and with it the user's API keys, sign-ins and access tokens here."""
        row, _ = await self._get(user)
        await self._let_go(user)
        await KeyRepository(self.work.session).revoke_of(user, datetime.now(UTC))
        await self.work.session.delete(row)
        audit(self.work, self.who, "member.removed", "user", user, role=row.role)
        because = "left the workspace"
        await end_sign_ins(self.work, self.publisher, user, because, workspace=self.who.workspace_id)

    async def _get(self, user: UserId) -> tuple[MembershipRow, UserRow]:
        found = await self.members.person(user)
        if found is None:
            raise UserNotFound("Nobody with this id is a member of the workspace")
        return found

    async def _let_go(self, admin: UserId) -> None:
        """Raises where the workspace would be without an admin, or without its owner."""
        if set(await self.members.lock_admins()) == {admin}:
            raise LastAdmin("Make somebody else admin first")
        workspace = await self.work.session.get_one(WorkspaceRow, self.who.workspace_id)
        if workspace.owner_id == admin:
            raise OwnerStays("Hand the workspace over to another member first: PUT /api/v1/workspaces/current/owner")


@dataclass(frozen=True)
class ProfileService:
    """A user's own name and password."""

    work: UnitOfWork
    who: Principal
    passwords: Passwords
    publisher: Publisher

    async def change(self, wanted: ProfileChange) -> UserRow:
        users = UserRepository(self.work.session)
        user = await users.get(self.who.user_id)
        if user is None:
            raise UserNotFound
        if wanted.full_name is not None:
            audit(self.work, self.who, "user.renamed", "user", user.id, before=user.full_name, after=wanted.full_name)
            user.full_name = wanted.full_name
        if wanted.password is not None:
            await self._change_password(user, wanted.password.get_secret_value(), wanted.current_password)
        await self.work.session.flush()
        return user

    async def _change_password(self, user: UserRow, password: str, current: SecretStr | None) -> None:
        """Ends every sign-in: whoever knew the old password is out."""
        credential = await UserRepository(self.work.session).credential(self.who.user_id)
        given = current.get_secret_value() if current else ""
        if credential is None or not await self.passwords.verify(credential.password_hash, given):
            raise WrongPassword("`current_password` is missing or wrong")
        self.passwords.require_good(password, (user.username, user.email))
        credential.password_hash = await self.passwords.hash(password)
        await end_sign_ins(self.work, self.publisher, self.who.user_id, "password changed")
        audit(self.work, self.who, "user.password-changed", "user", self.who.user_id)
