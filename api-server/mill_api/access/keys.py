"""API keys: 256 random bits behind `mm_`, shown once, stored as their SHA-256. Called by the `/api-keys` endpoints."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from mill_contracts.ids import KeyId, UserId
from mill_contracts.tokens import API_KEY_PREFIX, Role, Scope

from mill_api.access.audit import audit
from mill_api.access.errors import InvalidKeyRequest, KeyNotFound, RoleTooLow, ServiceAccountNotFound
from mill_api.access.principal import Principal, includes
from mill_api.access.publisher import KnownModels, Publisher
from mill_api.access.recognise import sha256_of, shown_part
from mill_api.access.repository import KeyRepository, ServiceAccountRepository
from mill_api.access.schemas import NewApiKey
from mill_api.access.tables import ApiKeyRow
from mill_api.db import UnitOfWork


@dataclass(frozen=True)
class KeyService:
    work: UnitOfWork
    who: Principal
    publisher: Publisher
    models: KnownModels

    async def create(self, wanted: NewApiKey) -> tuple[ApiKeyRow, str]:
        """The row and the key itself. Nobody gives away a right they lack."""
        if wanted.expires_at is not None and wanted.expires_at <= datetime.now(UTC):
            raise InvalidKeyRequest(errors=[{"pointer": "/expires_at", "detail": "lies in the past"}])
        owner, role = await self._owner(wanted.service_account_id)
        if Scope.WRITE in wanted.scopes and not includes(role, Role.DATA_SCIENTIST):
            raise RoleTooLow(f"The scope `write` needs the role data_scientist; its owner's is {role}")
        await self._require_models(wanted.model_ids)
        key = API_KEY_PREFIX + secrets.token_urlsafe(32)
        row = ApiKeyRow(
            tenant_id=self.who.workspace_id,
            user_id=owner,
            name=wanted.name,
            prefix=shown_part(key),
            sha256=sha256_of(key),
            scopes=sorted(wanted.scopes),
            model_ids=list(dict.fromkeys(wanted.model_ids)),
            expires_at=wanted.expires_at,
        )
        self.work.session.add(row)
        await self.work.session.flush()
        details = {"name": row.name, "owner": owner, "scopes": row.scopes, "models": row.model_ids}
        audit(self.work, self.who, "api-key.created", "api-key", row.id, **details, expires_at=row.expires_at)
        await self.publisher.changed(self.work)
        return row, key

    async def _owner(self, service_account: UUID | None) -> tuple[UserId, Role]:
        """Whom the key acts as: the one who makes it, or a service account that an admin manages."""
        if service_account is None:
            return self.who.user_id, self.who.role
        self.who.need_role(Role.ADMIN)
        found = await ServiceAccountRepository(self.work.session).get(service_account)
        if found is None:
            raise ServiceAccountNotFound
        return UserId(found[0].user_id), Role(found[1].role)

    async def _require_models(self, wanted: list[UUID]) -> None:
        known = await self.models.of_workspace(self.work.session, wanted) if wanted else set[UUID]()
        errors = [
            {"pointer": f"/model_ids/{place}", "detail": "no such model in this workspace"}
            for place, model in enumerate(wanted)
            if model not in known
        ]
        if errors:
            raise InvalidKeyRequest(errors=errors)

    async def revoke(self, key: KeyId) -> None:
        """One's own key; an admin's reach is the whole workspace."""
        row = await KeyRepository(self.work.session).get(key)
        if row is None or not (row.user_id == self.who.user_id or includes(self.who.role, Role.ADMIN)):
            raise KeyNotFound
        row.revoked_at = datetime.now(UTC)
        await self.work.session.flush()
        audit(self.work, self.who, "api-key.revoked", "api-key", row.id, name=row.name)
        await self.publisher.changed(self.work)
