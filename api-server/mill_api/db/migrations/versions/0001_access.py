"""Users, workspaces, memberships, credentials, refresh families, API keys, the audit log, the store's identity."""

import sqlalchemy as sa
from alembic import op
from mill_api.db.rls import TENANT, protect_tenant_table
from sqlalchemy.dialects import postgresql as pg

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _id() -> sa.Column[object]:
    return sa.Column("id", pg.UUID(as_uuid=True), primary_key=True)


def _reference(name: str, target: str, *, ondelete: str = "CASCADE", nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, pg.UUID(as_uuid=True), sa.ForeignKey(target, ondelete=ondelete), nullable=nullable)


def _moment(name: str, *, now: bool = False) -> sa.Column[object]:
    default = sa.text("now()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=not now)


def _times() -> tuple[sa.Column[object], sa.Column[object]]:
    return _moment("created_at", now=True), _moment("updated_at", now=True)


def _text(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text, nullable=nullable)


def upgrade() -> None:
    _users()
    _workspaces()
    _refresh_tokens()
    _api_keys()
    _audit_log()
    op.create_table(
        "store_identity",
        _id(),
        sa.Column("singleton", sa.Boolean, server_default="true", nullable=False, unique=True),
        sa.CheckConstraint("singleton", name="singleton"),
    )
    _rights()


def _users() -> None:
    op.create_table(
        "users",
        _id(),
        sa.Column("email", sa.Text, nullable=False, unique=True),
        _text("username"),
        _text("full_name"),
        sa.Column("active", sa.Boolean, server_default="true", nullable=False),
        *_times(),
    )
    op.create_index("uq_users_username_lower", "users", [sa.text("lower(username)")], unique=True)
    op.create_table(
        "credentials",
        _id(),
        sa.Column(
            "user_id", pg.UUID(as_uuid=True), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, unique=True
        ),
        _text("password_hash"),
        *_times(),
    )


def _workspaces() -> None:
    op.create_table(
        "workspaces",
        _id(),
        _text("name"),
        sa.Column("personal", sa.Boolean, server_default="false", nullable=False),
        *_times(),
    )
    op.create_table(
        "memberships",
        _id(),
        _reference("tenant_id", "workspaces.id"),
        _reference("user_id", "users.id"),
        _text("role"),
        *_times(),
        sa.UniqueConstraint("tenant_id", "user_id"),
        sa.CheckConstraint("role IN ('user', 'data_scientist', 'admin')", name="role"),
    )
    op.create_index("ix_memberships_tenant_id", "memberships", ["tenant_id"])
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"])


def _refresh_tokens() -> None:
    op.create_table(
        "refresh_families",
        _id(),
        _reference("user_id", "users.id"),
        _reference("workspace_id", "workspaces.id"),
        _moment("revoked_at"),
        _text("revoked_because", nullable=True),
        *_times(),
    )
    op.create_index("ix_refresh_families_user_id", "refresh_families", ["user_id"])
    op.create_index("ix_refresh_families_workspace_id", "refresh_families", ["workspace_id"])
    op.create_table(
        "refresh_tokens",
        _id(),
        _reference("family_id", "refresh_families.id"),
        sa.Column("sha256", sa.Text, nullable=False, unique=True),
        _moment("issued_at", now=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        _moment("rotated_at"),
    )
    op.create_index("ix_refresh_tokens_family_id", "refresh_tokens", ["family_id"])


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        _id(),
        _reference("tenant_id", "workspaces.id"),
        _reference("user_id", "users.id"),
        _text("name"),
        _text("prefix"),
        sa.Column("sha256", sa.Text, nullable=False, unique=True),
        sa.Column("scopes", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("model_ids", pg.ARRAY(pg.UUID(as_uuid=True)), server_default="{}", nullable=False),
        _moment("expires_at"),
        _moment("last_used_at"),
        _moment("revoked_at"),
        *_times(),
    )
    op.create_index("ix_api_keys_tenant_id", "api_keys", ["tenant_id"])
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        _id(),
        _reference("tenant_id", "workspaces.id"),
        _moment("at", now=True),
        _reference("user_id", "users.id", ondelete="SET NULL", nullable=True),
        sa.Column("key_id", pg.UUID(as_uuid=True)),
        _text("action"),
        _text("subject"),
        sa.Column("details", pg.JSONB, server_default="{}", nullable=False),
        _text("request_id", nullable=True),
    )
    op.create_index("ix_audit_log_tenant_id", "audit_log", ["tenant_id"])


def _rights() -> None:
    for table in ("users", "credentials", "refresh_families", "refresh_tokens"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO mill_app")
    op.execute("GRANT SELECT, INSERT ON store_identity TO mill_app, mill_system")
    op.execute("GRANT SELECT ON alembic_version TO mill_app, mill_system")
    for statement in [
        *protect_tenant_table("memberships", system="SELECT"),
        *protect_tenant_table("api_keys", system="SELECT", grants="SELECT, INSERT, UPDATE"),
        *protect_tenant_table("audit_log", grants="SELECT, INSERT"),
        "ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE workspaces FORCE ROW LEVEL SECURITY",
        "GRANT SELECT, INSERT, UPDATE ON workspaces TO mill_app",
        f"CREATE POLICY tenant ON workspaces TO mill_app USING (id = {TENANT}) WITH CHECK (id = {TENANT})",
        "GRANT SELECT ON workspaces TO mill_system",
        "CREATE POLICY system ON workspaces FOR SELECT TO mill_system USING (true)",
    ]:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
