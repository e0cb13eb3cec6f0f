"""SQL of row-level security, called by migrations: one policy per role, enabled and forced, denying where no tenant is set."""

TENANT = "NULLIF(current_setting('mill.tenant', true), '')::uuid"


def protect_tenant_table(
    table: str, *, system: str | None = None, grants: str = "SELECT, INSERT, UPDATE, DELETE"
) -> list[str]:
    """Statements that make `table` a tenant table of `mill_app`.

    `system` is what `mill_system` may do there ("SELECT, UPDATE"), for the few tables it serves across tenants; None for the rest.
    """
    statements = [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"GRANT {grants} ON {table} TO mill_app",
        f"CREATE POLICY tenant ON {table} TO mill_app USING (tenant_id = {TENANT}) WITH CHECK (tenant_id = {TENANT})",
    ]
    if system is not None:
        statements += [
            f"GRANT {system} ON {table} TO mill_system",
            f"CREATE POLICY system ON {table} TO mill_system USING (true) WITH CHECK (true)",
        ]
    return statements
