"""The outbox of deletions (migration 0007)."""

from uuid import UUID

from sqlalchemy import Text, text
from sqlalchemy.orm import Mapped, mapped_column

from mill_api.db import TenantRow
from mill_api.db.rls import TENANT


class DoomedObjectRow(TenantRow):
    """An object to delete, because the rows that named it were deleted in the same transaction. The tenant is the transaction's."""

    __tablename__ = "doomed_objects"

    tenant_id: Mapped[UUID] = mapped_column(index=True, server_default=text(TENANT))
    key: Mapped[str] = mapped_column(Text)
