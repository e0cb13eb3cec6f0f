from mill_local.testing import fresh_database, postgres_server, valkey_server, valkey_url

__all__ = ["fresh_database", "postgres_server", "valkey_server", "valkey_url"]
