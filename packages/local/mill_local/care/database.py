"""PostgreSQL's own programs on one database, and rows as JSON from a single snapshot. No password stands in a command line."""

import json
import shutil
import subprocess
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from mill_local.care.errors import CareFailed
from mill_local.errors import PartMissing
from mill_local.process import plain_environment
from mill_local.wheel import programs

_END = "-- end of rows --"


@dataclass(frozen=True)
class DatabaseAddress:
    """A database and a role that sees every row: the superuser, or one with BYPASSRLS."""

    url: str

    def environment(self) -> dict[str, str]:
        """For libpq; nothing of the caller's own `PG…` variables gets in."""
        parts = urlsplit(self.url)
        return plain_environment(
            PGHOST=parts.hostname or "127.0.0.1",
            PGPORT=str(parts.port or 5432),
            PGUSER=unquote(parts.username or "postgres"),
            PGPASSWORD=unquote(parts.password or ""),
            PGDATABASE=unquote(parts.path.lstrip("/")),
            PGCONNECT_TIMEOUT="10",
        )

    def run(self, program: str, *arguments: str) -> str:
        """Raises `CareFailed` with the program's own words."""
        command = [program_path(program), *arguments]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CareFailed(f"{program} ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
        return done.stdout

    @contextmanager
    def snapshot(self) -> Generator["Snapshot"]:
        """One moment of the database, for as long as the block lasts."""
        command = [
            program_path("psql"),
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "-v",
            "ON_ERROR_STOP=1",
        ]
        process = subprocess.Popen(
            command,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            snapshot = Snapshot(process)
            snapshot.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;")
            yield snapshot
        finally:
            process.kill()
            process.communicate()


class Snapshot:
    """A psql process in a transaction that reads. Raises `CareFailed` when it ends before its answer."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def name(self) -> str:
        """What `pg_dump --snapshot` takes, to see the very same rows."""
        return next(iter(self.ask("SELECT pg_export_snapshot();")))

    def value(self, expression: str) -> str:
        """Of one SQL expression, as text; empty for NULL."""
        return next(iter(self.ask(f"SELECT {expression};")), "")

    def rows(self, select: str) -> Iterator[Mapping[str, Any]]:
        for line in self.ask(f"SELECT row_to_json(found) FROM ({select}) AS found;"):  # noqa: S608 - our own statements
            yield json.loads(line)

    def ask(self, statement: str) -> list[str]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise CareFailed("psql has no pipes")
        try:
            stdin.write(f"{statement}\n\\echo '{_END}'\n")
            stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None
        lines: list[str] = []
        while (line := stdout.readline()) != f"{_END}\n":
            if not line:
                raise self._failure()
            lines.append(line.rstrip("\n"))
        return lines

    def _failure(self) -> CareFailed:
        _, said = self._process.communicate()
        return CareFailed(f"the database cannot be read: {said.strip()[-1000:]}")


def program_path(name: str) -> str:
    """From the wheel; else the one on the path, where only the SDK's dependencies are installed."""
    try:
        return str(programs() / name)
    except PartMissing:
        found = shutil.which(name)
        if found is None:
            raise
        return found
