"""The audit log: one line per change, written in the change's own transaction. Called by services of every domain."""

from typing import Any
from uuid import UUID

from mill_kit.http.request_id import current_request_id

from mill_api.access.principal import Principal
from mill_api.access.tables import AuditRow
from mill_api.db import UnitOfWork


def audit(work: UnitOfWork, who: Principal, action: str, subject: str, subject_id: UUID, **details: Any) -> None:
    """`action` is a past-tense slug (`project.deleted`); `details` hold no secret."""
    work.session.add(
        AuditRow(
            tenant_id=who.workspace_id,
            user_id=who.user_id,
            key_id=who.key_id,
            action=action,
            subject=f"{subject}:{subject_id}",
            details=details,
            request_id=current_request_id(),
        )
    )
