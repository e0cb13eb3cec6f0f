"""What backup, restore and doctor work on: the stack of a folder, running or not, or any stack by its addresses."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mill_kit.store import ObjectStore
from mill_kit.store.open import open_store

from mill_local.care.database import DatabaseAddress
from mill_local.care.errors import CareFailed
from mill_local.errors import StackDown
from mill_local.home import Home, StackState, read_state
from mill_local.postgres import SUPERUSER, PostgresServer


@dataclass(frozen=True)
class Addresses:
    """Given for a stack that is not the folder's own. Either both or neither."""

    database: str | None = None
    store: str | None = None
    access_key: str | None = None
    secret_key: str | None = None


@dataclass(frozen=True)
class Installation:
    """`home` is None for a stack known by its addresses alone: then nothing is known of its folders, ports and keys."""

    database: DatabaseAddress
    store: ObjectStore
    home: Home | None = None
    state: StackState | None = None


@contextmanager
def installation(home: Home, given: Addresses) -> Generator[Installation]:
    """An embedded stack that is down gets its database started for as long as the block lasts, and nothing else."""
    store = _store(home, given)
    if given.database is not None:
        yield Installation(DatabaseAddress(given.database), store)
        return
    state = read_state(home)
    if state is not None:
        port = next((part.port for part in state.parts if part.name == "postgres"), None)
        server = PostgresServer(home.root / "postgres", port=port)
        yield Installation(DatabaseAddress(server.url(SUPERUSER)), store, home, state)
        return
    if not (home.root / "postgres" / "data" / "PG_VERSION").is_file():
        raise StackDown(f"there is no stack in {home.root}: name its folder with --home, or its addresses")
    with home.alone():
        server = PostgresServer(home.root / "postgres", log=home.log("postgres"))
        server.start()
        try:
            yield Installation(DatabaseAddress(server.url(SUPERUSER)), store, home)
        finally:
            server.stop()


def _store(home: Home, given: Addresses) -> ObjectStore:
    """As `modelmill up` chooses it: the folder, unless the environment or an option names another."""
    if given.database is not None and given.store is None:
        raise CareFailed("name the object store too: --store-url")
    url = given.store or os.environ.get("MILL_STORE__URL") or home.objects.as_uri()
    if url.startswith("file:") and given.store is None and not home.objects.is_dir():
        raise StackDown(f"there is no stack in {home.root}: name its folder with --home, or its addresses")
    return open_store(url, given.access_key, given.secret_key)


def key_files(home: Home) -> list[Path]:
    """The signing keys of an embedded stack; the passwords of its servers are made anew."""
    return sorted(home.secrets.glob("*.pem"))
