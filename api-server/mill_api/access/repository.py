"""The SQL of access. Users, credentials and refresh tokens are global; all else is seen through the session's tenant."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mill_contracts.ids import KeyId, UserId, WorkspaceId
from mill_contracts.tokens import Role
from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.tables import (
    PERSON,
    ApiKeyRow,
    CredentialRow,
    InvitationRow,
    MembershipRow,
    RefreshFamilyRow,
    RefreshTokenRow,
    ServiceAccountRow,
    UserRow,
    WorkspaceRow,
)
from mill_api.db.pages import PageRequest, Slice, keyset


@dataclass(frozen=True)
class UserRepository:
    session: AsyncSession

    async def get(self, user: UserId) -> UserRow | None:
        return await self.session.get(UserRow, user)

    async def by_email(self, email: str) -> UserRow | None:
        """A person; a service account has no address that anybody writes to."""
        return await self.session.scalar(select(UserRow).where(UserRow.email == email.lower(), UserRow.kind == PERSON))

    async def anybody(self) -> bool:
        """Whether a person is registered."""
        return bool(await self.session.scalar(select(exists().where(UserRow.kind == PERSON))))

    async def sign_in(self, name: str) -> tuple[UserRow, CredentialRow] | None:
        """Whoever has this username or e-mail address (no username holds an @), with the credential."""
        statement = (
            select(UserRow, CredentialRow)
            .join(CredentialRow, CredentialRow.user_id == UserRow.id)
            .where(or_(func.lower(UserRow.username) == name.lower(), UserRow.email == name.lower()))
        )
        found = (await self.session.execute(statement)).one_or_none()
        return None if found is None else (found[0], found[1])

    async def credential(self, user: UserId) -> CredentialRow | None:
        return await self.session.scalar(select(CredentialRow).where(CredentialRow.user_id == user))


@dataclass(frozen=True)
class MembershipRepository:
    """With a tenant: the members of one workspace. On the system role: the workspaces of one user."""

    session: AsyncSession

    async def of_user(self, user: UserId) -> list[tuple[MembershipRow, WorkspaceRow]]:
        """The personal workspace first, then by age; none for a user who may not come in any more."""
        statement = (
            select(MembershipRow, WorkspaceRow)
            .join(WorkspaceRow, WorkspaceRow.id == MembershipRow.tenant_id)
            .join(UserRow, (UserRow.id == MembershipRow.user_id) & UserRow.active)
            .where(MembershipRow.user_id == user)
            .order_by(WorkspaceRow.personal.desc(), WorkspaceRow.created_at, WorkspaceRow.id)
        )
        return [(row[0], row[1]) for row in await self.session.execute(statement)]

    async def members(self, page: PageRequest) -> tuple[Slice[MembershipRow], dict[UUID, UserRow]]:
        people = select(MembershipRow).join(UserRow, UserRow.id == MembershipRow.user_id).where(UserRow.kind == PERSON)
        found = await keyset(self.session, people, MembershipRow, page)
        ids = [row.user_id for row in found.rows]
        users = await self.session.scalars(select(UserRow).where(UserRow.id.in_(ids)))
        return found, {user.id: user for user in users}

    async def get(self, user: UserId) -> MembershipRow | None:
        return await self.session.scalar(select(MembershipRow).where(MembershipRow.user_id == user))

    async def person(self, user: UserId) -> tuple[MembershipRow, UserRow] | None:
        """A member who is no service account."""
        statement = (
            select(MembershipRow, UserRow)
            .join(UserRow, UserRow.id == MembershipRow.user_id)
            .where(MembershipRow.user_id == user, UserRow.kind == PERSON)
        )
        found = (await self.session.execute(statement)).one_or_none()
        return None if found is None else (found[0], found[1])

    async def lock_admins(self) -> list[UUID]:
        """The users who are admins, locked until the transaction ends: two cannot remove each other at once."""
        statement = select(MembershipRow.user_id).where(MembershipRow.role == Role.ADMIN.value).with_for_update()
        return list(await self.session.scalars(statement))


@dataclass(frozen=True)
class RefreshRepository:
    session: AsyncSession

    async def rotate(self, sha256: str) -> RefreshFamilyRow | None:
        """Use up the token: its living family, or None. Of many callers at once exactly one gets the family."""
        living = select(RefreshFamilyRow.id).where(RefreshFamilyRow.revoked_at.is_(None))
        statement = (
            update(RefreshTokenRow)
            .where(
                RefreshTokenRow.sha256 == sha256,
                RefreshTokenRow.rotated_at.is_(None),
                RefreshTokenRow.expires_at > func.clock_timestamp(),
                RefreshTokenRow.family_id.in_(living),
            )
            .values(rotated_at=func.clock_timestamp())
            .returning(RefreshTokenRow.family_id)
        )
        family = await self.session.scalar(statement)
        return None if family is None else await self.session.get_one(RefreshFamilyRow, family)

    async def rotated(self, sha256: str) -> tuple[RefreshFamilyRow, float] | None:
        """The family of a used token and the seconds since its use; None for a token that was never used or never ours."""
        age = func.extract("epoch", func.clock_timestamp() - RefreshTokenRow.rotated_at)
        statement = (
            select(RefreshFamilyRow, age)
            .join(RefreshTokenRow, RefreshTokenRow.family_id == RefreshFamilyRow.id)
            .where(RefreshTokenRow.sha256 == sha256, RefreshTokenRow.rotated_at.is_not(None))
        )
        found = (await self.session.execute(statement)).one_or_none()
        return None if found is None else (found[0], float(found[1]))

    async def family_of(self, sha256: str) -> RefreshFamilyRow | None:
        of_token = select(RefreshTokenRow.family_id).where(RefreshTokenRow.sha256 == sha256).scalar_subquery()
        return await self.session.scalar(select(RefreshFamilyRow).where(RefreshFamilyRow.id == of_token))

    async def revoke(self, family: UUID, because: str) -> None:
        await self._revoke_where(RefreshFamilyRow.id == family, because=because)

    async def revoke_of(self, user: UserId, workspace: WorkspaceId | None, because: str) -> None:
        """All sign-ins of a user, or those in one workspace."""
        conditions = [RefreshFamilyRow.user_id == user]
        if workspace is not None:
            conditions.append(RefreshFamilyRow.workspace_id == workspace)
        await self._revoke_where(*conditions, because=because)

    async def _revoke_where(self, *conditions: ColumnElement[bool], because: str) -> None:
        statement = update(RefreshFamilyRow).where(*conditions, RefreshFamilyRow.revoked_at.is_(None))
        await self.session.execute(statement.values(revoked_at=func.now(), revoked_because=because))


@dataclass(frozen=True)
class InvitationRepository:
    """With a tenant: the invitations of one workspace. On the system role: the one that a code belongs to."""

    session: AsyncSession

    async def page(self, page: PageRequest) -> Slice[InvitationRow]:
        """Those that may still be accepted."""
        return await keyset(self.session, select(InvitationRow).where(*_open()), InvitationRow, page)

    async def by_code(self, sha256: str) -> InvitationRow | None:
        return await self.session.scalar(select(InvitationRow).where(InvitationRow.sha256 == sha256, *_open()))

    async def revoke(self, invitation: UUID) -> InvitationRow | None:
        statement = update(InvitationRow).where(InvitationRow.id == invitation, *_open())
        return await self.session.scalar(statement.values(revoked_at=func.now()).returning(InvitationRow))

    async def revoke_for(self, email: str) -> None:
        statement = update(InvitationRow).where(InvitationRow.email == email, *_open())
        await self.session.execute(statement.values(revoked_at=func.now()))

    async def accept(self, invitation: UUID, user: UUID) -> bool:
        """Of many who come with the same code, one is let in."""
        statement = update(InvitationRow).where(InvitationRow.id == invitation, *_open())
        values = {"accepted_at": func.now(), "accepted_by": user}
        return await self.session.scalar(statement.values(values).returning(InvitationRow.id)) is not None


def _open() -> tuple[ColumnElement[bool], ...]:
    return (
        InvitationRow.accepted_at.is_(None),
        InvitationRow.revoked_at.is_(None),
        InvitationRow.expires_at > func.now(),
    )


@dataclass(frozen=True)
class ServiceAccountRepository:
    """With their roles and users, of the session's workspace."""

    session: AsyncSession

    async def page(self, page: PageRequest) -> tuple[Slice[ServiceAccountRow], dict[UUID, MembershipRow]]:
        found = await keyset(self.session, select(ServiceAccountRow), ServiceAccountRow, page)
        ids = [row.user_id for row in found.rows]
        memberships = await self.session.scalars(select(MembershipRow).where(MembershipRow.user_id.in_(ids)))
        return found, {row.user_id: row for row in memberships}

    async def get(self, account: UUID) -> tuple[ServiceAccountRow, MembershipRow] | None:
        statement = (
            select(ServiceAccountRow, MembershipRow)
            .join(MembershipRow, MembershipRow.user_id == ServiceAccountRow.user_id)
            .where(ServiceAccountRow.id == account)
        )
        found = (await self.session.execute(statement)).one_or_none()
        return None if found is None else (found[0], found[1])


@dataclass(frozen=True)
class KeyRepository:
    """API keys of the session's workspace; revoked ones are not listed."""

    session: AsyncSession

    async def page(self, page: PageRequest, *, owner: UserId | None) -> Slice[ApiKeyRow]:
        statement = select(ApiKeyRow).where(ApiKeyRow.revoked_at.is_(None))
        if owner is not None:
            statement = statement.where(ApiKeyRow.user_id == owner)
        return await keyset(self.session, statement, ApiKeyRow, page)

    async def get(self, key: KeyId) -> ApiKeyRow | None:
        return await self.session.scalar(select(ApiKeyRow).where(ApiKeyRow.id == key, ApiKeyRow.revoked_at.is_(None)))

    async def revoke_of(self, user: UserId, at: datetime) -> None:
        statement = update(ApiKeyRow).where(ApiKeyRow.user_id == user, ApiKeyRow.revoked_at.is_(None))
        await self.session.execute(statement.values(revoked_at=at))


async def workspace_ids(session: AsyncSession) -> list[UUID]:
    """Every workspace, when asked as mill_system."""
    return list(await session.scalars(select(WorkspaceRow.id)))
