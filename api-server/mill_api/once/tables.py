"""The rows of answers to be given again (migration 0010). Housekeeping deletes them after a day."""

from uuid import UUID

from sqlalchemy import Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mill_api.db.rows import TenantRow


class IdempotencyKeyRow(TenantRow):
    """Neither the key nor the answer is readable here: an answer may hold a secret that is shown once."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        UniqueConstraint("tenant_id", "user_id", "key_sha256"),
        Index("ix_idempotency_keys_created_at", "created_at"),
    )

    tenant_id: Mapped[UUID] = mapped_column(index=False)  # the unique index begins with it
    user_id: Mapped[UUID]
    key_sha256: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(Text)
    status: Mapped[int]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
