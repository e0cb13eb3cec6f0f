"""The audit log: one line per change, written in the change's own transaction. Called by services of every domain."""

from typing import Any
from uuid import UUID

from mill_kit.http.request_id import current_request_id
from pydantic_core import to_jsonable_python

from mill_api.access.principal import Principal
from mill_api.access.tables import AuditRow
from mill_api.db import UnitOfWork


def audit(work: UnitOfWork, who: Principal, action: str, subject: str, subject_id: UUID | str, **details: Any) -> None:
    """`action` is a past-tense slug (`project.deleted`); `details` hold what was before and after, and no secret."""
    work.audited = True
    work.session.add(
        AuditRow(
            tenant_id=who.workspace_id,
            user_id=who.user_id,
            key_id=who.key_id,
            action=action,
            subject=f"{subject}:{subject_id}",
            details=to_jsonable_python(details),
            request_id=current_request_id(),
            address=who.address,
        )
    )
