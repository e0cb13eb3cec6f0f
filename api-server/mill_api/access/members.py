"""Who belongs to a workspace, as what; and the workspaces themselves. Called by the `/users` and `/workspaces` endpoints."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mill_contracts.ids import UserId, WorkspaceId, new_id
from mill_contracts.tokens import Role
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from mill_api.access.audit import audit
from mill_api.access.errors import AlreadyMember, LastAdmin, UserNotFound, WrongPassword
from mill_api.access.passwords import Passwords
from mill_api.access.principal import Principal
from mill_api.access.publisher import Publisher
from mill_api.access.repository import KeyRepository, MembershipRepository, RefreshRepository, UserRepository
from mill_api.access.schemas import NewMember, ProfileChange
from mill_api.access.tables import MembershipRow, UserRow, WorkspaceRow
from mill_api.db import Database, UnitOfWork


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
            raise UserNotFound("Nobody is registered with this e-mail address; ask them to register first")
        row = MembershipRow(tenant_id=self.who.workspace_id, user_id=user.id, role=wanted.role.value)
        self.work.session.add(row)
        try:
            await self.work.session.flush()
        except IntegrityError:
            raise AlreadyMember(f"{wanted.email} is a member; change the role instead") from None
        audit(self.work, self.who, "member.added", "user", user.id, role=wanted.role)
        return row, user

    async def change_role(self, user: UserId, role: Role) -> tuple[MembershipRow, UserRow]:
        row = await self._get(user)
        if role is not Role.ADMIN:
            await self._keep_an_admin(user)
        audit(self.work, self.who, "member.role-changed", "user", user, before=row.role, after=role)
        row.role = role.value
        await self.work.session.flush()
        await self.publisher.changed(self.work)
        return row, await self.work.session.get_one(UserRow, user)

    async def remove(self, user: UserId) -> None:
        """The membership ends, and with it the user's API keys and sign-ins here."""
        row = await self._get(user)
        await self._keep_an_admin(user)
        await KeyRepository(self.work.session).revoke_of(user, datetime.now(UTC))
        await RefreshRepository(self.work.session).revoke_of(user, self.who.workspace_id, "left the workspace")
        await self.work.session.delete(row)
        audit(self.work, self.who, "member.removed", "user", user)
        await self.work.session.flush()
        await self.publisher.changed(self.work)

    async def _get(self, user: UserId) -> MembershipRow:
        row = await self.members.get(user)
        if row is None:
            raise UserNotFound("Nobody with this id is a member of the workspace")
        return row

    async def _keep_an_admin(self, without: UserId) -> None:
        if set(await self.members.lock_admins()) == {without}:
            raise LastAdmin("Make somebody else admin first")


@dataclass(frozen=True)
class ProfileService:
    """A user's own name and password."""

    work: UnitOfWork
    who: Principal
    passwords: Passwords

    async def change(self, wanted: ProfileChange) -> UserRow:
        users = UserRepository(self.work.session)
        user = await users.get(self.who.user_id)
        if user is None:
            raise UserNotFound
        if wanted.full_name is not None:
            user.full_name = wanted.full_name
        if wanted.password is not None:
            await self._change_password(wanted.password.get_secret_value(), wanted.current_password)
        await self.work.session.flush()
        return user

    async def _change_password(self, password: str, current: SecretStr | None) -> None:
        """Ends every sign-in: whoever knew the old password is out."""
        credential = await UserRepository(self.work.session).credential(self.who.user_id)
        given = current.get_secret_value() if current else ""
        if credential is None or not await self.passwords.verify(credential.password_hash, given):
            raise WrongPassword("`current_password` is missing or wrong")
        credential.password_hash = await self.passwords.hash(password)
        await RefreshRepository(self.work.session).revoke_of(self.who.user_id, None, "password changed")
        audit(self.work, self.who, "user.password-changed", "user", self.who.user_id)


async def create_workspace(database: Database, who: Principal, name: str) -> WorkspaceRow:
    """A workspace with `who` as its admin; a new tenant, so in a transaction of its own."""
    workspace = WorkspaceId(new_id())
    row = WorkspaceRow(id=workspace, name=name)
    async with database.writing(workspace) as work:
        work.session.add(row)
        await work.session.flush()
        work.session.add(MembershipRow(tenant_id=workspace, user_id=who.user_id, role=Role.ADMIN.value))
        audit(work, Principal(who.user_id, workspace, Role.ADMIN), "workspace.created", "workspace", workspace)
    return row
