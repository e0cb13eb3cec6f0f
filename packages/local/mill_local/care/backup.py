"""`modelmill backup`: one moment of the database, and every object that its rows name, into a new folder.

The stack goes on working meanwhile. Objects never change once written, so copying them after the moment is enough, unless one
was deleted in between: then the whole is tried again. A backup is there completely or not at all: it gets its name last.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mill_kit.store import ObjectMissing, ObjectStore

from mill_local.care.database import DatabaseAddress
from mill_local.care.errors import BackupDamaged, CareFailed, NotEmpty
from mill_local.care.installation import Installation, key_files
from mill_local.care.inventory import Named, named_objects
from mill_local.files import private_folder, write_private

FORMAT = 1
MANIFEST, DUMP, OBJECTS, LIST, KEYS = "backup.json", "database.dump", "objects", "objects.jsonl", "keys"
TRIES = 3
_CHUNK = 2**20

Tell = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Copied:
    """One object of a backup, as it lies there."""

    key: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Summary:
    """`backup.json`: written last, so a folder without it is no backup."""

    format: int
    created: str
    modelmill: str
    migration: str
    database_sha256: str
    database_bytes: int
    list_sha256: str
    objects: int
    object_bytes: int
    keys: int


def back_up(source: Installation, target: Path, tell: Tell) -> Summary:
    """Raises `NotEmpty`, `CareFailed`, `StoreUnavailable`; `target` appears only when all of it is there."""
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        raise NotEmpty(f"{target} exists: name a new folder for the backup")
    for attempt in range(1, TRIES + 1):
        draft = target.with_name(f".{target.name}.{os.getpid()}.{attempt}")
        try:
            private_folder(draft)
            summary = _fill(source, draft, tell)
            if target.is_dir():
                target.rmdir()
            draft.rename(target)
        except ObjectMissing as error:
            if attempt == TRIES:
                raise CareFailed(f"{error.detail}: `modelmill doctor` tells what is missing") from error
        else:
            return summary
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    raise CareFailed("no attempt was made")


def _fill(source: Installation, folder: Path, tell: Tell) -> Summary:
    with source.database.snapshot() as snapshot:
        tell("database", 0, 1)
        dump = folder / DUMP
        _dump(source.database, snapshot.name(), dump)
        tell("database", 1, 1)
        migration = snapshot.value("version_num FROM alembic_version")
        wanted = list(named_objects(snapshot))
    copied = _copy(source.store, wanted, folder / OBJECTS, tell)
    listing = "".join(json.dumps(asdict(one)) + "\n" for one in copied)
    write_private(folder / LIST, listing)
    keys = key_files(source.home) if source.home is not None else []
    for key in keys:
        write_private(folder / KEYS / key.name, key.read_bytes())
    summary = Summary(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        modelmill=version("mill-local"),
        migration=migration,
        database_sha256=sha256_of(dump),
        database_bytes=dump.stat().st_size,
        list_sha256=hashlib.sha256(listing.encode()).hexdigest(),
        objects=len(copied),
        object_bytes=sum(one.size for one in copied),
        keys=len(keys),
    )
    write_private(folder / MANIFEST, json.dumps(asdict(summary), indent=2) + "\n")
    return summary


def _dump(database: DatabaseAddress, snapshot: str, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(descriptor)
    database.run("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={path}")


def _copy(store: ObjectStore, wanted: Iterable[Named], folder: Path, tell: Tell) -> list[Copied]:
    """Each object once. Raises `ObjectMissing`, and `CorruptObject` for one that is not what was acknowledged."""
    by_key: dict[str, Named] = {}
    for one in wanted:
        if one.key not in by_key or one.sha256 is not None:
            by_key[one.key] = one
    copied: list[Copied] = []
    for number, one in enumerate(by_key.values()):
        tell("objects", number, len(by_key))
        path = folder / one.key
        private_folder(path.parent)
        info = store.fetch(one.key, path, sha256=one.sha256)
        copied.append(Copied(one.key, info.size, info.sha256))
    tell("objects", len(by_key), len(by_key))
    return copied


def read_backup(folder: Path) -> tuple[Summary, list[Copied]]:
    """What the backup says it holds; its dump and its list are checked. Raises `BackupDamaged`."""
    try:
        document: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        summary = Summary(**document)
        listing = (folder / LIST).read_bytes()
        objects = [Copied(**json.loads(line)) for line in listing.splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise BackupDamaged(f"{folder} is no backup, or a damaged one: {error}") from error
    if summary.format != FORMAT:
        raise BackupDamaged(f"this build reads backups of format {FORMAT}, this one is of {summary.format}")
    if hashlib.sha256(listing).hexdigest() != summary.list_sha256 or len(objects) != summary.objects:
        raise BackupDamaged(f"{folder / LIST} is not what was written: take another backup")
    if not (folder / DUMP).is_file() or sha256_of(folder / DUMP) != summary.database_sha256:
        raise BackupDamaged(f"{folder / DUMP} is not what was written: take another backup")
    return summary, objects


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
