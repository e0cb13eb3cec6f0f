"""The routes of API keys, of the service accounts that own some, and of the audit log. `endpoints` hands on `routers`."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, status
from fastapi.responses import StreamingResponse
from mill_contracts.ids import KeyId
from mill_contracts.tokens import Role, Scope
from pydantic import AwareDatetime

from mill_api.access import schemas
from mill_api.access.audit_log import AuditExport, AuditFilter, ExportFormat, audit_page
from mill_api.access.dependencies import Member, Parts, Reading, Work, WorkspaceAdmin
from mill_api.access.keys import KeyService
from mill_api.access.principal import includes
from mill_api.access.repository import KeyRepository, ServiceAccountRepository
from mill_api.access.service_accounts import ServiceAccountService
from mill_api.db.pages import Page
from mill_api.db.paging import Paging
from mill_api.once.route import OnceRoute
from mill_api.texts import Search

keys = APIRouter(prefix="/api/v1/api-keys", tags=["api-keys"], route_class=OnceRoute)
accounts = APIRouter(prefix="/api/v1/service-accounts", tags=["service-accounts"], route_class=OnceRoute)
audit = APIRouter(prefix="/api/v1/audit", tags=["audit"])
routers = (keys, accounts, audit)


def key_service(work: Work, who: Member, parts: Parts) -> KeyService:
    who.need_session()
    return KeyService(work, who, parts.publisher, parts.known_models)


def account_service(work: Work, who: WorkspaceAdmin, parts: Parts) -> ServiceAccountService:
    who.need_session()
    return ServiceAccountService(work, who, parts.publisher)


Keys = Annotated[KeyService, Depends(key_service)]
Accounts = Annotated[ServiceAccountService, Depends(account_service)]


@keys.get("")
async def list_keys(who: Member, session: Reading, page: Paging) -> Page[schemas.ApiKey]:
    """Your API keys; an admin sees all of the workspace."""
    owner = None if includes(who.role, Role.ADMIN) else who.user_id
    found = await KeyRepository(session).page(page, owner=owner)
    return found.page(schemas.ApiKey.model_validate)


@keys.post("", status_code=status.HTTP_201_CREATED)
async def create_key(wanted: schemas.NewApiKey, service: Keys) -> schemas.CreatedApiKey:
    """Make an API key, yours or a service account's. It is in this answer, and never shown again."""
    row, key = await service.create(wanted)
    return schemas.CreatedApiKey(**schemas.ApiKey.model_validate(row).model_dump(), key=key)


@keys.delete("/{key_id}", status_code=status.HTTP_204_NO_CONTENT)
async def revoke_key(key_id: UUID, service: Keys) -> None:
    """Make a key worthless at once."""
    await service.revoke(KeyId(key_id))


@accounts.get("")
async def list_service_accounts(_: WorkspaceAdmin, session: Reading, page: Paging) -> Page[schemas.ServiceAccount]:
    """The service accounts of the workspace."""
    found, memberships = await ServiceAccountRepository(session).page(page)
    return found.page(lambda row: schemas.ServiceAccount.of(row, memberships[row.user_id]))


@accounts.post("", status_code=status.HTTP_201_CREATED)
async def create_service_account(wanted: schemas.NewServiceAccount, service: Accounts) -> schemas.ServiceAccount:
    """Make an account for a program; give it API keys with `service_account_id`."""
    return schemas.ServiceAccount.of(*await service.create(wanted))


@accounts.patch("/{account_id}")
async def change_service_account(
    account_id: UUID, wanted: schemas.ServiceAccountChange, service: Accounts
) -> schemas.ServiceAccount:
    """Change name, description or role."""
    return schemas.ServiceAccount.of(*await service.change(account_id, wanted))


@accounts.delete("/{account_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_service_account(account_id: UUID, service: Accounts) -> None:
    """Delete a service account; its keys are worthless at once."""
    await service.delete(account_id)


def audit_filter(
    user_id: Annotated[UUID | None, Query(description="who did it")] = None,
    action: Annotated[Search | None, Query(description="such as `project.deleted`")] = None,
    subject: Annotated[Search | None, Query(description="`project:<id>`, or a beginning of it")] = None,
    since: Annotated[AwareDatetime | None, Query(description="from this moment on")] = None,
    until: Annotated[AwareDatetime | None, Query(description="before this moment")] = None,
) -> AuditFilter:
    return AuditFilter(user_id, action, subject, since, until)


Filter = Annotated[AuditFilter, Depends(audit_filter)]


@audit.get("")
async def list_audit(_: WorkspaceAdmin, session: Reading, wanted: Filter, page: Paging) -> Page[schemas.AuditLine]:
    """Who did what in the workspace, newest first."""
    return await audit_page(session, wanted, page)


@audit.get("/export", response_class=StreamingResponse)
async def export_audit(
    who: WorkspaceAdmin,
    parts: Parts,
    wanted: Filter,
    form: Annotated[ExportFormat, Query(alias="format")] = "ndjson",
) -> StreamingResponse:
    """All that the filter finds, as one file, newest first. In CSV, cells that a spreadsheet would run begin with `'`."""
    who.need_scope(Scope.READ)
    export = AuditExport(parts.database, who.workspace_id, wanted)
    moment = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    name = {"content-disposition": f'attachment; filename="audit-{moment}.{form}"', "x-content-type-options": "nosniff"}
    if form == "csv":
        return StreamingResponse(export.csv(), media_type="text/csv; charset=utf-8", headers=name)
    return StreamingResponse(export.ndjson(), media_type="application/x-ndjson", headers=name)
