"""The embedded stack: PostgreSQL, Valkey and every Modelmill service as children of one supervisor, without Docker."""
