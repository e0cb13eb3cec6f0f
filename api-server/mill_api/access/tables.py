"""The rows of access. `GLOBAL_TABLES` are those without a tenant; they are reached through this domain alone."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column, synonym
from sqlalchemy.types import Text

from mill_api.db import Row, TenantRow, Timestamped

GLOBAL_TABLES = frozenset({"users", "credentials", "refresh_families", "refresh_tokens", "setup_codes", "revocations"})
PERSON, SERVICE = "person", "service"


class UserRow(Timestamped, Row):
    """A person, or a service account, which has no credential. The e-mail address is stored in lower case; the username keeps
    its case but is unique without it."""

    __tablename__ = "users"
    __table_args__ = (
        Index("uq_users_username_lower", func.lower("username"), unique=True),
        CheckConstraint("kind IN ('person', 'service')", name="kind"),
    )

    email: Mapped[str] = mapped_column(Text, unique=True)
    username: Mapped[str] = mapped_column(Text)
    full_name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text, server_default=PERSON)
    active: Mapped[bool] = mapped_column(server_default="true")


class CredentialRow(Timestamped, Row):
    """A password's Argon2id hash, apart from the user so that listing members never loads it."""

    __tablename__ = "credentials"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    password_hash: Mapped[str] = mapped_column(Text)


class WorkspaceRow(Timestamped, Row):
    """A tenant. `personal` marks the one made at registration. Its policy compares `id` with the current tenant.

    The owner is an admin whom no other admin removes; ownership is handed over, never taken.
    """

    __tablename__ = "workspaces"

    name: Mapped[str] = mapped_column(Text)
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    personal: Mapped[bool] = mapped_column(server_default="false")


class MembershipRow(TenantRow):
    """A user's role in a workspace."""

    __tablename__ = "memberships"
    __table_args__ = (
        UniqueConstraint("tenant_id", "user_id"),
        CheckConstraint("role IN ('user', 'data_scientist', 'admin')", name="role"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    role: Mapped[str] = mapped_column(Text)


class RefreshFamilyRow(Timestamped, Row):
    """One sign-in and all refresh tokens that descend from it. Revoked as a whole."""

    __tablename__ = "refresh_families"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    revoked_at: Mapped[datetime | None]
    revoked_because: Mapped[str | None] = mapped_column(Text)


class RefreshTokenRow(Row):
    """A refresh token, by the SHA-256 of its 256 random bits. Used once: `rotated_at` says when."""

    __tablename__ = "refresh_tokens"

    family_id: Mapped[UUID] = mapped_column(ForeignKey("refresh_families.id", ondelete="CASCADE"), index=True)
    sha256: Mapped[str] = mapped_column(Text, unique=True)
    issued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]


class ApiKeyRow(TenantRow):
    """An API key by its SHA-256; the key itself is shown once. By its `prefix` its owner tells keys apart and a request finds it."""

    __tablename__ = "api_keys"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text, index=True)
    sha256: Mapped[str] = mapped_column(Text, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    model_ids: Mapped[list[UUID]] = mapped_column(ARRAY(PG_UUID(as_uuid=True)), server_default="{}")
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class InvitationRow(TenantRow):
    """A code, by its SHA-256, that lets one e-mail address into a workspace, once."""

    __tablename__ = "invitations"
    __table_args__ = (CheckConstraint("role IN ('user', 'data_scientist', 'admin')", name="role"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    email: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text, unique=True)
    invited_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    accepted_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    revoked_at: Mapped[datetime | None]


class ServiceAccountRow(TenantRow):
    """What a program signs in as: a user of kind `service` without a password, in this workspace alone, with API keys."""

    __tablename__ = "service_accounts"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class SetupCodeRow(Row):
    """The one-time code of the first administrator, by its SHA-256; at most one row."""

    __tablename__ = "setup_codes"
    __table_args__ = (CheckConstraint("singleton", name="singleton"),)

    singleton: Mapped[bool] = mapped_column(server_default="true", unique=True)
    sha256: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class RevocationRow(Row):
    """Access tokens issued before `at` are worthless: all of a user, those for one workspace, or those of one sign-in.

    The api-server looks at the membership and the sign-in themselves; these rows tell ml-service, by the snapshot.
    """

    __tablename__ = "revocations"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    session_id: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class AuditRow(Row):
    """Who did what to which subject, from where, by which request. Written with the change itself; a trigger keeps it as it is."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_tenant_id_at_id", "tenant_id", "at", "id"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    key_id: Mapped[UUID | None]
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    request_id: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = synonym("at")
