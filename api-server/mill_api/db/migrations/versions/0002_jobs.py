"""The job ledger: jobs, their events, schedules, workers; the trigger that refuses illegal moves and writes the events."""

import sqlalchemy as sa
from alembic import op
from mill_api.db.rls import protect_tenant_table
from sqlalchemy.dialects import postgresql as pg

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KINDS = "kind IN ('profile', 'train', 'score', 'sweep')"
_QUEUES = "queue IN ('ml', 'data', 'general')"
_STATES = "state IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled')"

_GUARD = """
CREATE FUNCTION jobs_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('succeeded', 'failed', 'cancelled') AND NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'job % has ended as %', OLD.id, OLD.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('waiting', 'queued'), ('waiting', 'failed'), ('waiting', 'cancelled'),
        ('queued', 'running'), ('queued', 'failed'), ('queued', 'cancelled'),
        ('running', 'succeeded'), ('running', 'failed'), ('running', 'cancelled'), ('running', 'queued')
    ) THEN
        RAISE EXCEPTION 'job % cannot move from % to %', OLD.id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""

_RECORD = """
CREATE FUNCTION jobs_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.state <> OLD.state THEN
        INSERT INTO job_events (job_id, tenant_id, kind, data) VALUES (NEW.id, NEW.tenant_id, 'state', jsonb_strip_nulls(
            jsonb_build_object('state', NEW.state, 'attempt', NEW.attempt, 'problem', NEW.problem)));
        RETURN NULL;
    END IF;
    IF NEW.cancel_requested_at IS DISTINCT FROM OLD.cancel_requested_at THEN
        INSERT INTO job_events (job_id, tenant_id, kind, data)
        VALUES (NEW.id, NEW.tenant_id, 'cancel', jsonb_build_object('requested_at', NEW.cancel_requested_at));
    END IF;
    IF NEW.stage IS DISTINCT FROM OLD.stage THEN
        INSERT INTO job_events (job_id, tenant_id, kind, data)
        VALUES (NEW.id, NEW.tenant_id, 'stage', jsonb_build_object('stage', NEW.stage));
    END IF;
    IF NEW.progress IS DISTINCT FROM OLD.progress THEN
        INSERT INTO job_events (job_id, tenant_id, kind, data)
        VALUES (NEW.id, NEW.tenant_id, 'progress', jsonb_build_object('progress', NEW.progress, 'stage', NEW.stage));
    END IF;
    RETURN NULL;
END $$
"""


def _uuid(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, pg.UUID(as_uuid=True), nullable=nullable)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False)


def _word(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.String(20), nullable=False)


def upgrade() -> None:
    _jobs()
    _job_events()
    _schedules()
    _workers()
    for statement in [
        _GUARD,
        _RECORD,
        "CREATE TRIGGER guard BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION jobs_guard()",
        "CREATE TRIGGER record AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION jobs_record()",
        *protect_tenant_table("jobs", system="SELECT, INSERT, UPDATE", grants="SELECT, INSERT, UPDATE"),
        *protect_tenant_table("job_events", system="SELECT, INSERT, DELETE", grants="SELECT, INSERT"),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON schedules, schedule_runs, workers TO mill_system",
        "GRANT SELECT, INSERT, UPDATE ON job_counters TO mill_system",
    ]:
        op.execute(statement)


def _jobs() -> None:
    op.create_table(
        "jobs",
        _uuid("id", nullable=False),
        _uuid("tenant_id"),
        _word("kind"),
        _word("queue"),
        _word("state"),
        sa.Column("attempt", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        _uuid("token"),
        sa.Column("worker", sa.Text),
        _moment("lease_until"),
        _moment("not_before"),
        sa.Column("progress", sa.Float),
        sa.Column("stage", sa.Text),
        sa.Column("spec", pg.JSONB, nullable=False),
        sa.Column("result", pg.JSONB),
        sa.Column("problem", pg.JSONB),
        sa.Column("waits_for", pg.UUID(as_uuid=True), sa.ForeignKey("jobs.id")),
        sa.Column("retry_of", pg.UUID(as_uuid=True), sa.ForeignKey("jobs.id"), unique=True),
        _uuid("subject_id"),
        _uuid("requested_by"),
        sa.Column("request_id", sa.Text),
        sa.Column("traceparent", sa.Text),
        sa.Column("log_tail", pg.JSONB, server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("log_key", sa.Text),
        _moment("cancel_requested_at"),
        _now("created_at"),
        _moment("queued_at"),
        _moment("started_at"),
        _moment("finished_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(_KINDS, name="kind"),
        sa.CheckConstraint(_QUEUES, name="queue"),
        sa.CheckConstraint(_STATES, name="state"),
        sa.CheckConstraint("attempt BETWEEN 0 AND max_attempts", name="attempt"),
        sa.CheckConstraint("progress BETWEEN 0 AND 1", name="progress"),
        sa.CheckConstraint("state <> 'running' OR (token IS NOT NULL AND lease_until IS NOT NULL)", name="held"),
        sa.CheckConstraint("state NOT IN ('waiting', 'queued') OR token IS NULL", name="free"),
    )
    op.create_index("ix_jobs_claim", "jobs", ["queue", "queued_at", "id"], postgresql_where=sa.text("state = 'queued'"))
    op.create_index("ix_jobs_lease", "jobs", ["lease_until"], postgresql_where=sa.text("state = 'running'"))
    op.create_index("ix_jobs_waiting", "jobs", ["waits_for"], postgresql_where=sa.text("state = 'waiting'"))
    op.create_index("ix_jobs_tenant_id_id", "jobs", ["tenant_id", "id"])
    op.create_index("ix_jobs_subject_id", "jobs", ["subject_id"])


def _job_events() -> None:
    op.create_table(
        "job_events",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("job_id", pg.UUID(as_uuid=True), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        _uuid("tenant_id"),
        _now("at"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("data", pg.JSONB, nullable=False),
        sa.CheckConstraint("kind IN ('state', 'cancel', 'stage', 'progress', 'log')", name="kind"),
    )
    op.create_index("ix_job_events_job_id_seq", "job_events", ["job_id", "seq"])
    op.create_index("ix_job_events_at", "job_events", ["at"], postgresql_using="brin")


def _schedules() -> None:
    op.create_table(
        "schedules",
        _uuid("id", nullable=False),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("every", sa.Interval, nullable=False),
        _word("kind"),
        _word("queue"),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("spec", pg.JSONB, nullable=False),
        _moment("next_due", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("every > interval '0'", name="every"),
    )
    op.create_table(
        "schedule_runs",
        sa.Column("schedule", sa.Text, primary_key=True),
        sa.Column("due", sa.DateTime(timezone=True), primary_key=True),
        sa.Column(
            "job_id", pg.UUID(as_uuid=True), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, unique=True
        ),
    )


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("queues", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("concurrency", sa.BigInteger, nullable=False),
        sa.Column("busy", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        _moment("started_at", nullable=False),
        _moment("seen_at", nullable=False),
        _moment("swept_at"),
        _moment("canary_sent_at"),
        _moment("canary_ran_at"),
    )
    op.create_table(
        "job_counters",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
