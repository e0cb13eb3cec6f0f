"""Backups that are damaged, targets that hold something, addresses that are half given: refused before anything is touched."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from mill_local.care.backup import DUMP, LIST, MANIFEST, OBJECTS, Copied, Summary, read_backup
from mill_local.care.database import DatabaseAddress
from mill_local.care.errors import BackupDamaged, CareFailed, NotEmpty
from mill_local.care.installation import Addresses, installation
from mill_local.care.restore import restore
from mill_local.errors import StackDown
from mill_local.home import Home
from mill_local.postgres import SUPERUSER, PostgresServer


def quiet(_what: str, _done: int, _total: int) -> None:
    """Tells nobody."""


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """As one is written, of one object and a dump that only its digest is asked of."""
    folder = tmp_path / "backup"
    (folder / OBJECTS / "datasets").mkdir(parents=True)
    (folder / OBJECTS / "datasets" / "raw").write_bytes(b"a,b\n1,2\n")
    (folder / DUMP).write_bytes(b"no real dump")
    listing = json.dumps(asdict(Copied("datasets/raw", 8, hashlib.sha256(b"a,b\n1,2\n").hexdigest()))) + "\n"
    (folder / LIST).write_text(listing)
    summary = Summary(
        format=1,
        created="2026-01-01T00:00:00+00:00",
        modelmill="0.1.0",
        migration="0001",
        database_sha256=hashlib.sha256(b"no real dump").hexdigest(),
        database_bytes=12,
        list_sha256=hashlib.sha256(listing.encode()).hexdigest(),
        objects=1,
        object_bytes=8,
        keys=0,
    )
    (folder / MANIFEST).write_text(json.dumps(asdict(summary)))
    return folder


def test_a_whole_backup_is_read(backup: Path) -> None:
    summary, objects = read_backup(backup)
    assert (summary.objects, [one.key for one in objects]) == (1, ["datasets/raw"])


@pytest.mark.parametrize("name", [DUMP, LIST, MANIFEST])
def test_one_changed_byte_is_found_before_anything_is_restored(backup: Path, tmp_path: Path, name: str) -> None:
    damaged = bytearray((backup / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (backup / name).write_bytes(damaged)
    with pytest.raises(BackupDamaged):
        restore(backup, Home(tmp_path / "home"), Addresses(), quiet)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", [DUMP, LIST, MANIFEST])
def test_a_backup_without_one_of_its_files_is_none(backup: Path, name: str) -> None:
    (backup / name).unlink()
    with pytest.raises(BackupDamaged):
        read_backup(backup)


def test_a_restore_goes_into_an_empty_folder_only(backup: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (home.root / "objects" / "datasets").mkdir(parents=True)
    with pytest.raises(NotEmpty, match="objects"):
        restore(backup, home, Addresses(), quiet)
    assert (home.root / "objects" / "datasets").is_dir()


def test_an_interrupted_restore_leaves_nothing_behind(backup: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(CareFailed, match="pg_restore"):
        restore(backup, home, Addresses(), quiet)
    assert not [path for path in home.root.iterdir() if path.name in ("postgres", "objects", "secrets")]


def test_where_no_stack_is_one_is_told_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(StackDown, match="--home"), installation(Home(tmp_path / "nothing"), Addresses()):
        pass
    assert not (tmp_path / "nothing").exists()


def test_a_database_elsewhere_needs_its_store(tmp_path: Path) -> None:
    given = Addresses(database="postgresql://modelmill:secret@127.0.0.1:1/modelmill")
    with pytest.raises(CareFailed, match="--store-url"), installation(Home(tmp_path), given):
        pass


def test_a_snapshot_sees_one_moment_and_says_why_it_cannot(postgres_server: PostgresServer) -> None:
    address = DatabaseAddress(postgres_server.url(SUPERUSER))
    postgres_server.psql("--command", "CREATE TABLE moments (n int)", database="modelmill")
    with address.snapshot() as snapshot:
        assert snapshot.value("count(*) FROM moments") == "0"
        postgres_server.psql("--command", "INSERT INTO moments VALUES (1)", database="modelmill")
        assert snapshot.value("count(*) FROM moments") == "0"
        assert snapshot.name()
        assert [row["text"] for row in snapshot.rows("SELECT E'two\\nlines \\\\ \\\"' AS text")] == ['two\nlines \\ "']
        with pytest.raises(CareFailed, match="nowhere"):
            snapshot.value("1 FROM nowhere")
    postgres_server.psql("--command", "DROP TABLE moments", database="modelmill")


def test_a_password_stands_in_no_command_line() -> None:
    address = DatabaseAddress("postgresql://some:p%40ss@db.example:5433/mill")
    environment = address.environment()
    assert (environment["PGPASSWORD"], environment["PGHOST"], environment["PGPORT"]) == ("p@ss", "db.example", "5433")
