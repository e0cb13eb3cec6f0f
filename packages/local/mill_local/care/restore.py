"""`modelmill restore`: a backup into an empty folder, or into an empty database and store given by their addresses.

Everything is checked against the backup's own digests while it is read. What an interrupted restore leaves behind is taken away again,
so that it can simply be repeated.
"""

import shutil
from pathlib import Path

from mill_kit.store import ObjectStore
from mill_kit.store.folder import FileStore
from mill_kit.store.open import open_store

from mill_local.care.backup import DUMP, KEYS, OBJECTS, Copied, Summary, Tell, read_backup, sha256_of
from mill_local.care.database import DatabaseAddress
from mill_local.care.errors import BackupDamaged, NotEmpty
from mill_local.care.installation import Addresses
from mill_local.errors import StackRuns
from mill_local.files import write_private
from mill_local.home import Home, read_state
from mill_local.postgres import SUPERUSER, PostgresServer


def restore(folder: Path, home: Home, given: Addresses, tell: Tell) -> Summary:
    """Raises `BackupDamaged`, `NotEmpty`, `StackRuns`, `CareFailed`, `StoreUnavailable`."""
    summary, objects = read_backup(folder)
    if given.database is not None and given.store is not None:
        store = open_store(given.store, given.access_key, given.secret_key)
        _into(folder, objects, DatabaseAddress(given.database), store, tell)
        return summary
    _require_empty(home)
    try:
        _into_home(folder, objects, home, tell)
    except BaseException:
        for name in ("postgres", "objects", "secrets"):
            shutil.rmtree(home.root / name, ignore_errors=True)
        raise
    return summary


def _require_empty(home: Home) -> None:
    if read_state(home) is not None:
        raise StackRuns(f"a stack runs in {home.root}: restore into another folder")
    for name in ("postgres", "objects", "secrets"):
        part = home.root / name
        if part.exists() and any(part.iterdir()):
            raise NotEmpty(f"{part} holds data: restore into an empty folder (--home) and look at it there first")


def _into_home(folder: Path, objects: list[Copied], home: Home, tell: Tell) -> None:
    with home.alone():
        for key in sorted((folder / KEYS).glob("*.pem")):
            write_private(home.secrets / key.name, key.read_bytes())
        server = PostgresServer(home.folder("postgres"), log=home.log("postgres"))
        server.start()
        try:
            server.create_database()
            _into(folder, objects, DatabaseAddress(server.url(SUPERUSER)), FileStore(home.folder("objects")), tell)
        finally:
            server.stop()


def _into(folder: Path, objects: list[Copied], database: DatabaseAddress, store: ObjectStore, tell: Tell) -> None:
    _require_empty_parts(database, store)
    for number, one in enumerate(objects):
        tell("objects", number, len(objects))
        path = folder / OBJECTS / one.key
        if not path.is_file() or path.stat().st_size != one.size or sha256_of(path) != one.sha256:
            raise BackupDamaged(f"{path} is not what was written: take another backup")
        store.put_file(one.key, path)
    tell("objects", len(objects), len(objects))
    tell("database", 0, 1)
    database.run(
        "pg_restore", "--single-transaction", "--exit-on-error", "--dbname", _name(database), str(folder / DUMP)
    )
    tell("database", 1, 1)


def _require_empty_parts(database: DatabaseAddress, store: ObjectStore) -> None:
    with database.snapshot() as snapshot:
        if snapshot.value("to_regclass('alembic_version')"):
            raise NotEmpty("the database holds tables of Modelmill: restore into an empty one")
    if next(iter(store.keys()), None) is not None:
        raise NotEmpty("the object store holds objects: restore into an empty one")


def _name(database: DatabaseAddress) -> str:
    return database.environment()["PGDATABASE"]
