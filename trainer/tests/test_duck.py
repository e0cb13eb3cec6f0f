"""The engine's sandbox: only the files it was given, no extensions, no settings changed by a statement."""

from pathlib import Path

import pytest
from mill_contracts.tasks import Limits
from mill_trainer.duck import DuckError, name, open_duck, text

FORBIDDEN = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('{folder}/other.csv')",
    "COPY (SELECT 1) TO '{folder}/elsewhere.parquet' (FORMAT parquet)",
    "SELECT * FROM read_csv('https://example.org/table.csv')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 64",
    "SET enable_external_access = true",
    "ATTACH '{folder}/database.db'",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_sandbox_refuses(statement: str, tmp_path: Path) -> None:
    given = tmp_path / "given.csv"
    given.write_text("a\n1\n")
    (tmp_path / "other.csv").write_text("a\n1\n")
    out = tmp_path / "out"
    out.mkdir()

    with open_duck(Limits(), tmp_path / "scratch", [given], [out]) as duck:
        assert duck.rows(f"SELECT a FROM read_csv({text(str(given))})") == [(1,)]
        duck.run(f"COPY (SELECT 1) TO {text(str(out / 'x.parquet'))} (FORMAT parquet)")
        with pytest.raises(DuckError):
            duck.run(statement.format(folder=tmp_path))


def test_names_and_text_are_quoted(tmp_path: Path) -> None:
    with open_duck(Limits(), tmp_path, [], []) as duck:
        assert duck.row(f"SELECT {text(chr(39) + ';--')} AS {name('a' + chr(34))}") == ("';--",)
