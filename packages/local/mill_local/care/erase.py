"""`modelmill erase`: a person's data go, and a receipt says what went. For the operator, as the superuser of the database.

What only they could see goes whole: every workspace in which no other person is. In workspaces with others the work stays, without a
name: the account becomes an anonymous, inactive one, so that what points to it (who trained a model, lines of the audit log) still
points to somebody, but to nobody known.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from mill_local.care.database import DatabaseAddress
from mill_local.care.errors import NobodyThere, StillNeeded
from mill_local.care.installation import Installation
from mill_local.care.inventory import doomed_keys, named_objects

_FIND = "SELECT id, email FROM users WHERE kind = 'person' AND (lower(email) = lower({who}) OR lower(username) = lower({who}))"
_NEEDED = """
SELECT w.name FROM workspaces w JOIN memberships mine ON mine.tenant_id = w.id AND mine.user_id = '{user}'
WHERE EXISTS (SELECT FROM memberships m JOIN users u ON u.id = m.user_id
              WHERE m.tenant_id = w.id AND m.user_id <> '{user}' AND u.kind = 'person')
AND (w.owner_id = '{user}' OR (mine.role = 'admin' AND NOT EXISTS (
    SELECT FROM memberships m WHERE m.tenant_id = w.id AND m.user_id <> '{user}' AND m.role = 'admin')))
"""
_ERASE = """
BEGIN;
-- The audit log is sealed, and rows of a workspace go in any order: both by the superuser's right, in this transaction alone.
SET LOCAL session_replication_role = replica;
CREATE TEMP TABLE erased (what text, number bigint) ON COMMIT DROP;
DO $$
DECLARE
    who uuid := '{user}';
    tenant uuid;
    named text;
    number bigint;
BEGIN
    PERFORM FROM users WHERE id = who FOR UPDATE;
    FOR tenant IN SELECT m.tenant_id FROM memberships m WHERE m.user_id = who AND NOT EXISTS (
        SELECT FROM memberships o JOIN users u ON u.id = o.user_id
        WHERE o.tenant_id = m.tenant_id AND o.user_id <> who AND u.kind = 'person')
    LOOP
        INSERT INTO erased VALUES ('workspace ' || tenant, 1);
        DELETE FROM users WHERE kind = 'service' AND id IN (SELECT user_id FROM service_accounts WHERE tenant_id = tenant);
        DELETE FROM refresh_tokens WHERE family_id IN (SELECT id FROM refresh_families WHERE workspace_id = tenant);
        DELETE FROM refresh_families WHERE workspace_id = tenant;
        DELETE FROM revocations WHERE workspace_id = tenant;
        FOR named IN SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attname = 'tenant_id' AND NOT a.attisdropped
        LOOP
            EXECUTE format('DELETE FROM %I WHERE tenant_id = $1', named) USING tenant;
            GET DIAGNOSTICS number = ROW_COUNT;
            INSERT INTO erased VALUES (named, number);
        END LOOP;
        DELETE FROM workspaces WHERE id = tenant;
        INSERT INTO publication_changes (id, tenant_id) VALUES (gen_random_uuid(), tenant);
    END LOOP;
    DELETE FROM refresh_tokens WHERE family_id IN (SELECT id FROM refresh_families WHERE user_id = who);
    DELETE FROM refresh_families WHERE user_id = who;
    DELETE FROM project_members WHERE user_id = who;
    INSERT INTO publication_changes (id, tenant_id) SELECT gen_random_uuid(), tenant_id FROM memberships WHERE user_id = who;
    FOREACH named IN ARRAY ARRAY['credentials', 'memberships', 'api_keys', 'idempotency_keys'] LOOP
        EXECUTE format('DELETE FROM %I WHERE user_id = $1', named) USING who;
        GET DIAGNOSTICS number = ROW_COUNT;
        INSERT INTO erased VALUES (named, number);
    END LOOP;
    DELETE FROM predictions WHERE asked_by = who;
    GET DIAGNOSTICS number = ROW_COUNT;
    INSERT INTO erased VALUES ('predictions', number);
    DELETE FROM invitations WHERE email = (SELECT email FROM users WHERE id = who);
    UPDATE audit_log SET address = NULL, details = '{{}}' WHERE user_id = who OR subject = 'user:' || who;
    GET DIAGNOSTICS number = ROW_COUNT;
    INSERT INTO erased VALUES ('audit_log (made anonymous)', number);
    INSERT INTO revocations (id, user_id) VALUES (gen_random_uuid(), who);
    UPDATE users SET email = 'erased-' || who || '@invalid', username = 'erased-' || who, full_name = '', active = false
    WHERE id = who;
    INSERT INTO erased VALUES ('users (made anonymous)', 1);
END $$;
SELECT json_build_object('what', what, 'number', sum(number)) FROM erased GROUP BY what HAVING sum(number) > 0 ORDER BY what;
COMMIT;
"""


@dataclass(frozen=True)
class Receipt:
    """What can be shown to who asked for it, and to an auditor: it names nobody."""

    receipt: str
    erased_at: str
    user_id: str
    email_sha256: str
    rows: Mapping[str, int]
    objects: int
    object_keys_sha256: str
    note: str = (
        "Packages in caches of ml-service go when they are pushed out or it starts anew; sampled predictions in Redis expire. "
        "Backups taken before still hold the data: keep this receipt, and erase again after restoring one of them."
    )


def erase(source: Installation, who: str) -> Receipt:
    """By e-mail address or username. Raises `NobodyThere`, `StillNeeded` for who alone runs a workspace with others."""
    user, email = find(source.database, who)
    with source.database.snapshot() as snapshot:
        needed = [row["name"] for row in snapshot.rows(_NEEDED.format(user=user))]
        if needed:
            names = ", ".join(repr(name) for name in needed)
            raise StillNeeded(f"others are in {names}: hand the workspace over and make somebody else admin first")
        before = {one.key for one in named_objects(snapshot)} | doomed_keys(snapshot)
    rows = _run(source.database, user)
    with source.database.snapshot() as snapshot:
        after = {one.key for one in named_objects(snapshot)} | doomed_keys(snapshot)
    gone = sorted(key for key in before - after if not key.startswith("published/"))
    for key in gone:
        source.store.delete(key)
    return Receipt(
        receipt=str(uuid4()),
        erased_at=datetime.now(UTC).isoformat(timespec="seconds"),
        user_id=str(user),
        email_sha256=hashlib.sha256(email.lower().encode()).hexdigest(),
        rows=rows,
        objects=len(gone),
        object_keys_sha256=hashlib.sha256("\n".join(gone).encode()).hexdigest(),
    )


def find(database: DatabaseAddress, who: str) -> tuple[UUID, str]:
    """What an operator typed becomes a quoted text, and then an id."""
    quoted = "'" + who.replace("'", "''") + "'"
    with database.snapshot() as snapshot:
        if "\\" in who or "\n" in who or "\0" in who:
            raise NobodyThere("an address or a username holds no such characters")
        found = list(snapshot.rows(_FIND.format(who=quoted)))
    if len(found) != 1:
        raise NobodyThere(f"{len(found)} people are known as {who!r}")
    return UUID(found[0]["id"]), str(found[0]["email"])


def _run(database: DatabaseAddress, user: UUID) -> dict[str, int]:
    """In one transaction; rows by table."""
    said = database.run(
        "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1",
        "--command", _ERASE.format(user=user),
    )  # fmt: skip
    rows = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return {str(row["what"]): int(row["number"]) for row in rows}
