"""API keys: 256 random bits behind `mm_`, shown once, stored as their SHA-256. Called by the `/api-keys` endpoints."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from mill_contracts.ids import KeyId
from mill_contracts.tokens import API_KEY_PREFIX, Role, Scope

from mill_api.access.audit import audit
from mill_api.access.errors import InvalidKeyRequest, KeyNotFound
from mill_api.access.principal import Principal, includes
from mill_api.access.publisher import Publisher
from mill_api.access.recognise import sha256_of
from mill_api.access.repository import KeyRepository
from mill_api.access.schemas import NewApiKey
from mill_api.access.tables import ApiKeyRow
from mill_api.db import UnitOfWork

_SHOWN = len(API_KEY_PREFIX) + 6


@dataclass(frozen=True)
class KeyService:
    work: UnitOfWork
    who: Principal
    publisher: Publisher

    async def create(self, wanted: NewApiKey) -> tuple[ApiKeyRow, str]:
        """The row and the key itself. Nobody gives away a right they lack."""
        if wanted.expires_at is not None and wanted.expires_at <= datetime.now(UTC):
            raise InvalidKeyRequest(errors=[{"pointer": "/expires_at", "detail": "lies in the past"}])
        if Scope.WRITE in wanted.scopes:
            self.who.need_role(Role.DATA_SCIENTIST)
        key = API_KEY_PREFIX + secrets.token_urlsafe(32)
        row = ApiKeyRow(
            tenant_id=self.who.workspace_id,
            user_id=self.who.user_id,
            name=wanted.name,
            prefix=key[:_SHOWN],
            sha256=sha256_of(key),
            scopes=sorted(wanted.scopes),
            model_ids=wanted.model_ids,
            expires_at=wanted.expires_at,
        )
        self.work.session.add(row)
        await self.work.session.flush()
        audit(self.work, self.who, "api-key.created", "api-key", row.id, scopes=row.scopes)
        await self.publisher.changed(self.work)
        return row, key

    async def revoke(self, key: KeyId) -> None:
        """One's own key; an admin's reach is the whole workspace."""
        row = await KeyRepository(self.work.session).get(key)
        if row is None or not (row.user_id == self.who.user_id or includes(self.who.role, Role.ADMIN)):
            raise KeyNotFound
        row.revoked_at = datetime.now(UTC)
        await self.work.session.flush()
        audit(self.work, self.who, "api-key.revoked", "api-key", row.id)
        await self.publisher.changed(self.work)
