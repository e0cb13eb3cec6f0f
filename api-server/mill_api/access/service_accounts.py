"""Service accounts: what programs sign in as. Called by the `/service-accounts` endpoints.

A user without a password and a member of one workspace, whose API keys an admin makes: they outlive whoever made them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from mill_contracts.ids import UserId, new_id
from sqlalchemy.exc import IntegrityError

from mill_api.access.audit import audit
from mill_api.access.errors import ServiceAccountNameTaken, ServiceAccountNotFound
from mill_api.access.principal import Principal
from mill_api.access.publisher import Publisher
from mill_api.access.repository import KeyRepository, ServiceAccountRepository, UserRepository
from mill_api.access.schemas import NewServiceAccount, ServiceAccountChange
from mill_api.access.tables import SERVICE, MembershipRow, ServiceAccountRow, UserRow
from mill_api.db import UnitOfWork


@dataclass(frozen=True)
class ServiceAccountService:
    work: UnitOfWork
    who: Principal
    publisher: Publisher

    async def create(self, wanted: NewServiceAccount) -> tuple[ServiceAccountRow, MembershipRow]:
        """Its address lies in a domain that cannot be (RFC 2606), so nobody registers or is invited with it."""
        user = UserRow(id=new_id(), kind=SERVICE, full_name=wanted.name, email="", username="")
        user.username = f"service-{user.id.hex}"
        user.email = f"{user.username}@modelmill.invalid"
        self.work.session.add(user)
        await self.work.session.flush()
        membership = MembershipRow(tenant_id=self.who.workspace_id, user_id=user.id, role=wanted.role.value)
        row = ServiceAccountRow(
            tenant_id=self.who.workspace_id,
            user_id=user.id,
            name=wanted.name,
            description=wanted.description,
            created_by=self.who.user_id,
        )
        self.work.session.add_all([membership, row])
        await self._flush(wanted.name)
        details = {"name": row.name, "role": membership.role}
        audit(self.work, self.who, "service-account.created", "service-account", row.id, **details)
        return row, membership

    async def change(self, account: UUID, wanted: ServiceAccountChange) -> tuple[ServiceAccountRow, MembershipRow]:
        row, membership = await self._get(account)
        changes = wanted.model_dump(exclude_none=True)
        before = {"name": row.name, "description": row.description, "role": membership.role}
        row.name = changes.get("name", row.name)
        row.description = changes.get("description", row.description)
        membership.role = changes.get("role", membership.role)
        await self._flush(row.name)
        before = {field: before[field] for field in changes}
        audit(self.work, self.who, "service-account.changed", "service-account", row.id, before=before, after=changes)
        await self.publisher.changed(self.work)
        return row, membership

    async def delete(self, account: UUID) -> None:
        """Its keys are worthless at once. The user stays, without any membership, so that the audit log can name it."""
        row, membership = await self._get(account)
        user = await UserRepository(self.work.session).get(UserId(row.user_id))
        if user is not None:
            user.active = False
        await KeyRepository(self.work.session).revoke_of(UserId(row.user_id), datetime.now(UTC))
        await self.work.session.delete(membership)
        await self.work.session.delete(row)
        await self.work.session.flush()
        audit(self.work, self.who, "service-account.deleted", "service-account", row.id, name=row.name)
        await self.publisher.changed(self.work)

    async def _get(self, account: UUID) -> tuple[ServiceAccountRow, MembershipRow]:
        found = await ServiceAccountRepository(self.work.session).get(account)
        if found is None:
            raise ServiceAccountNotFound
        return found

    async def _flush(self, name: str) -> None:
        try:
            await self.work.session.flush()
        except IntegrityError:
            raise ServiceAccountNameTaken(f"There is a service account named {name!r}; choose another name") from None
