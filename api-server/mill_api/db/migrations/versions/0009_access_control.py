"""Owners, project members, invitations, service accounts, the first administrator's code, ended sessions, a sealed audit log."""

import sqlalchemy as sa
from alembic import op
from mill_api.db.rls import protect_tenant_table
from sqlalchemy.dialects import postgresql as pg

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SEAL = """
CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND pg_trigger_depth() > 1 THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND pg_trigger_depth() > 1 AND NEW.user_id IS NULL
        AND to_jsonb(NEW) - 'user_id' = to_jsonb(OLD) - 'user_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$
"""
"""Two changes pass, both only as what a foreign key does: the lines of an erased workspace go, an erased user's id is emptied."""


def upgrade() -> None:
    _owners()
    _project_members()
    _invitations()
    _service_accounts()
    _global_tables()
    _audit_log()
    op.create_index("ix_api_keys_prefix", "api_keys", ["prefix"])


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")


def _id() -> sa.Column[object]:
    return sa.Column("id", pg.UUID(as_uuid=True), primary_key=True)


def _reference(name: str, target: str, *, ondelete: str = "CASCADE", nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, pg.UUID(as_uuid=True), sa.ForeignKey(target, ondelete=ondelete), nullable=nullable)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _protect(table: str, *, system: str | None = None) -> None:
    for statement in protect_tenant_table(table, system=system):
        op.execute(statement)


def _owners() -> None:
    """The oldest admin owns a workspace, the maker a project. Row security is lifted for the filling: it binds the owner too."""
    op.add_column("users", sa.Column("kind", sa.Text, server_default="person", nullable=False))
    op.create_check_constraint("kind", "users", "kind IN ('person', 'service')")
    for table in ("workspaces", "projects"):
        op.add_column(table, _reference("owner_id", "users.id", ondelete="SET NULL", nullable=True))
    op.add_column("projects", sa.Column("default_role", sa.Text, server_default="editor", nullable=False))
    op.create_check_constraint("default_role", "projects", "default_role IN ('viewer', 'editor')")
    walled = ("workspaces", "projects", "memberships")
    for table in walled:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE projects SET owner_id = created_by")
    op.execute(
        "UPDATE workspaces SET owner_id = (SELECT user_id FROM memberships WHERE tenant_id = workspaces.id"
        " AND role = 'admin' ORDER BY created_at, id LIMIT 1)"
    )
    for table in walled:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def _project_members() -> None:
    """Who leaves the workspace leaves its projects: the reference to the membership sees to it."""
    op.create_table(
        "project_members",
        _id(),
        _reference("tenant_id", "workspaces.id"),
        _reference("project_id", "projects.id"),
        sa.Column("user_id", pg.UUID(as_uuid=True), nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.UniqueConstraint("project_id", "user_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "user_id"], ["memberships.tenant_id", "memberships.user_id"], ondelete="CASCADE"
        ),
        sa.CheckConstraint("role IN ('viewer', 'editor')", name="role"),
    )
    op.create_index("ix_project_members_tenant_id", "project_members", ["tenant_id"])
    op.create_index("ix_project_members_user_id", "project_members", ["user_id"])
    _protect("project_members")


def _invitations() -> None:
    op.create_table(
        "invitations",
        _id(),
        _reference("tenant_id", "workspaces.id"),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False, unique=True),
        _reference("invited_by", "users.id", ondelete="SET NULL", nullable=True),
        _moment("expires_at", nullable=False),
        _moment("accepted_at"),
        _reference("accepted_by", "users.id", ondelete="SET NULL", nullable=True),
        _moment("revoked_at"),
        _now("created_at"),
        _now("updated_at"),
        sa.CheckConstraint("role IN ('user', 'data_scientist', 'admin')", name="role"),
    )
    op.create_index("ix_invitations_tenant_id", "invitations", ["tenant_id"])
    _protect("invitations", system="SELECT")


def _service_accounts() -> None:
    op.create_table(
        "service_accounts",
        _id(),
        _reference("tenant_id", "workspaces.id"),
        sa.Column(
            "user_id", pg.UUID(as_uuid=True), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, unique=True
        ),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, server_default="", nullable=False),
        _reference("created_by", "users.id", ondelete="SET NULL", nullable=True),
        _now("created_at"),
        _now("updated_at"),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    op.create_index("ix_service_accounts_tenant_id", "service_accounts", ["tenant_id"])
    _protect("service_accounts")


def _global_tables() -> None:
    """`setup_codes` lets the first administrator in; `revocations` tells ml-service which access tokens are worthless."""
    op.create_table(
        "setup_codes",
        _id(),
        sa.Column("singleton", sa.Boolean, server_default="true", nullable=False, unique=True),
        sa.Column("sha256", sa.Text, nullable=False),
        _moment("expires_at", nullable=False),
        _moment("used_at"),
        sa.CheckConstraint("singleton", name="singleton"),
    )
    op.create_table(
        "revocations",
        _id(),
        _reference("user_id", "users.id"),
        _reference("workspace_id", "workspaces.id", nullable=True),
        sa.Column("session_id", pg.UUID(as_uuid=True)),
        _now("at"),
    )
    op.create_index("ix_revocations_at", "revocations", ["at"])
    op.execute("GRANT SELECT (id, active) ON users TO mill_system")
    op.execute("GRANT SELECT, INSERT, UPDATE ON setup_codes TO mill_app")
    op.execute("GRANT INSERT ON revocations TO mill_app")
    op.execute("GRANT SELECT, DELETE ON revocations TO mill_system")


def _audit_log() -> None:
    op.add_column("audit_log", sa.Column("address", sa.Text))
    op.create_index("ix_audit_log_tenant_id_at_id", "audit_log", ["tenant_id", "at", "id"])
    op.execute(_SEAL)
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_log"
        " FOR EACH ROW EXECUTE FUNCTION audit_log_is_append_only()"
    )
    op.execute(
        "CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_log"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()"
    )
