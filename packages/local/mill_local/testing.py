"""Real PostgreSQL and Valkey for the tests of every member: fixtures to import into a `conftest.py`.

    from mill_local.testing import fresh_database, postgres_server, valkey_server, valkey_url

- `postgres_server` (session): a running `PostgresServer` with roles and an empty database `modelmill`; `.url(role=…)`.
- `fresh_database` (session): a function making a new empty database per call, with the rights that production has:
  `databases = fresh_database()`, then `databases.owner_url`, `.app_url`, `.system_url`, `.superuser_url`; all are dropped at the
  end. `fresh_database(template=name)` copies an idle database, which is the quick way to a migrated one.
- `valkey_server` (session): a running `ValkeyServer` set up as the broker is; `valkey_url`: its URL after FLUSHALL, per test.

Without pytest, use `PostgresServer.temporary()` and `ValkeyServer.temporary()` themselves.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

import pytest

from mill_local.ports import LOOPBACK
from mill_local.postgres import SUPERUSER, PostgresServer
from mill_local.valkey import ValkeyServer


@dataclass(frozen=True)
class TestDatabase:
    """One empty database and the URLs of each role."""

    __test__ = False

    name: str
    owner_url: str
    app_url: str
    system_url: str
    superuser_url: str


class DatabaseMaker(Protocol):
    def __call__(self, *, template: str | None = None) -> TestDatabase: ...


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer.temporary() as server:
        yield server


@pytest.fixture(scope="session")
def fresh_database(postgres_server: PostgresServer) -> Iterator[DatabaseMaker]:
    made: list[str] = []

    def make(*, template: str | None = None) -> TestDatabase:
        name = f"test_{uuid4().hex[:12]}"
        postgres_server.create_database(name, template=template)
        made.append(name)
        return TestDatabase(
            name=name,
            owner_url=postgres_server.url("mill_owner", name),
            app_url=postgres_server.url("mill_app", name),
            system_url=postgres_server.url("mill_system", name),
            superuser_url=postgres_server.url(SUPERUSER, name),
        )

    yield make
    for name in made:
        postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    with ValkeyServer.temporary() as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: ValkeyServer) -> str:
    with socket.create_connection((LOOPBACK, valkey_server.port), timeout=5.0) as line:
        line.sendall(f"AUTH {valkey_server.password}\r\nFLUSHALL\r\nQUIT\r\n".encode())
        while line.recv(256):
            pass
    return valkey_server.url
