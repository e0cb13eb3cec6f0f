"""Erasing a person: what was theirs alone is gone, what others use stays without a name, the receipt tells which."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mill_local.postgres import PostgresServer
from modelmill import ApiError, Client, NotFound

from tests.conftest import Stack

GOOD = b"a,b,label\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n"


def modelmill(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("modelmill")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def dump(stack: Stack) -> str:
    """Every row of every table, as text."""
    port = next(part.port for part in stack.state().parts if part.name == "postgres")
    server = PostgresServer(stack.home.root / "postgres", port=port)
    tables = server.psql(
        "--command", "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database="modelmill"
    )
    return "\n".join(
        server.psql("--command", f'SELECT * FROM "{table}"', database="modelmill") for table in tables.splitlines()
    )


def upload(mill: Client, name: str) -> Any:
    project = mill.projects.create(name)
    dataset = mill.datasets.upload(io.BytesIO(GOOD), file_name=f"{name}.csv", name=name, project_id=project.id)
    return mill.datasets.wait(dataset, timeout=100)


@pytest.mark.slow
def test_a_person_is_erased_and_nobody_else_loses_anything(stack: Stack, tmp_path: Path) -> None:
    with stack.client("leaving") as leaving, stack.client("staying") as staying:
        theirs, others = upload(leaving, "private-thing"), upload(staying, "kept-thing")
        held = {path for path in stack.home.objects.rglob("raw") if path.is_file()}
        receipt = tmp_path / "receipt.json"
        arguments = ("erase", "leaving@example.com", "--yes", "--receipt", str(receipt), "--home", str(stack.home.root))
        done = modelmill(*arguments)
        assert done.returncode == 0, done.stderr

        told = json.loads(receipt.read_text())
        assert told["rows"]["dataset_versions"] == 1
        assert told["objects"] >= 3
        assert "leaving" not in receipt.read_text()
        rows = dump(stack)
        assert "leaving" not in rows
        assert "private-thing" not in rows
        assert "kept-thing" in rows
        assert len({path for path in held if not path.exists()}) == 1

        with pytest.raises(ApiError):
            leaving.datasets.get(theirs.id)
        assert staying.datasets.get(others.id).status == "ready"
        with contextlib.suppress(NotFound):
            assert staying.datasets.get(theirs.id) is None
    again = modelmill(*arguments[:2], "--yes", "--home", str(stack.home.root))
    assert (again.returncode, "0 people" in again.stderr) == (1, True)


@pytest.mark.parametrize("name", ["o'brien'; DROP TABLE users; --", "a\\!b", ""])
def test_an_odd_name_erases_nobody(stack: Stack, name: str) -> None:
    done = modelmill("erase", name, "--yes", "--home", str(stack.home.root))
    assert done.returncode == 1
    assert "Nobody was erased" in done.stderr
