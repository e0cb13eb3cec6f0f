"""PostgreSQL from the wheel as a direct child: the stack's database, and the real database of every member's tests.

As root the server runs as `nobody` with its data folder as *working directory* and `-D /proc/self/cwd`: root enters the folder
before it gives up its rights, and the kernel resolves that path without walking the folders above, which may be closed to
everyone else. docs/adr/0003-where-the-embedded-postgres-lives.md says what else was tried.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

from mill_local.errors import PartFailed, PartMissing
from mill_local.files import kept_secret, private_folder
from mill_local.ports import LOOPBACK, free_port
from mill_local.process import POLL_SECONDS, Account, Child, Program, plain_environment, started_at, wait_until_gone
from mill_local.wheel import account_for, programs, runnable_by

SUPERUSER = "modelmill"
ROLES = ("mill_owner", "mill_app", "mill_system")
DATABASE = "modelmill"
START_SECONDS = 60.0
STOP_STEPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 10.0))
UNSAFE_AND_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class PostgresServer:
    """A cluster in `home/data`, its passwords in `home/secrets`, its log in `home/postgres.log` (or `log`).

    `durable=False` gives up safety against power cuts for speed: for tests. A server killed with -9 starts again with all rows
    in both cases, since the kernel still holds what was written.
    """

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        durable: bool = True,
        version: int = 18,
        log: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.absolute()
        self.port = port or free_port()
        self._may_change_port = port is None
        self._durable = durable
        self._settings = dict(settings or {})
        self._programs = programs(version)
        self._log = log or self.home / "postgres.log"
        self._child: Child | None = None

    @classmethod
    @contextmanager
    def temporary(cls, *, version: int = 18) -> Generator[Self]:
        """A throw-away server with roles and the database `modelmill`, gone at the end: `with PostgresServer.temporary() as pg`."""
        home = Path(tempfile.mkdtemp(prefix="modelmill-pg-"))
        server = cls(home, durable=False, version=version)
        try:
            server.start()
            server.create_database()
            yield server
        finally:
            server.stop()
            shutil.rmtree(home, ignore_errors=True)

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def pid(self) -> int:
        return self._running().pid

    def is_running(self) -> bool:
        return self._child is not None and self._child.is_running()

    def password(self, role: str) -> str:
        return kept_secret(self.home / "secrets" / role)

    def url(self, role: str = "mill_app", database: str = DATABASE) -> str:
        """`postgresql://role:password@127.0.0.1:port/database`; roles: mill_owner, mill_app, mill_system, modelmill (superuser)."""
        return f"postgresql://{role}:{quote(self.password(role), safe='')}@{LOOPBACK}:{self.port}/{quote(database, safe='')}"

    def start(self) -> None:
        """Make the cluster if there is none, then serve; returns when connections are accepted."""
        private_folder(self.home)
        account = account_for(self.data)
        self._end_orphan()
        if not (self.data / "PG_VERSION").is_file():
            self._make_cluster(account)
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._child = self._serve(account)
            if self._becomes_ready(deadline):
                self._may_change_port = False  # others know it now: a restart keeps it
                return
            tail = self._child.log_tail()
            self._child.kill()
            self._child = None
            if time.monotonic() > deadline or not self._worth_another_try(tail):
                raise PartFailed(f"PostgreSQL did not start; the end of {self._log}:\n{tail}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Fast shutdown; when that hangs (it can during crash recovery), immediate shutdown. Does nothing when stopped."""
        if self._child is not None:
            self._child.stop(*STOP_STEPS)
            self._child = None

    def kill(self) -> None:
        """End it as a crash would (`kill -9`); `start()` recovers."""
        self._running().kill()
        self._child = None

    def create_database(self, name: str = DATABASE, *, template: str | None = None) -> None:
        """Run init-db/ as superuser: roles with their kept passwords, and the database `name`. May run again at any time."""
        environment = {
            "MILL_DATABASE_NAME": name,
            "MILL_DATABASE_TEMPLATE": template or "template0",
            **{f"{role.upper()}_PASSWORD": self.password(role) for role in ROLES},
        }
        for script in sorted(init_folder().glob("*.sql")):
            self.psql("--file", str(script), environment=environment)

    def drop_database(self, name: str) -> None:
        self.psql("--command", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def psql(self, *arguments: str, database: str = "postgres", environment: Mapping[str, str] | None = None) -> str:
        """Run psql as superuser; its output. For set-up and tests: services use `url()`."""
        connection = {
            "PGHOST": LOOPBACK,
            "PGPORT": str(self.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self.password(SUPERUSER),
            "PGDATABASE": database,
        }
        done = subprocess.run(
            [
                str(self._programs / "psql"),
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "-v",
                "ON_ERROR_STOP=1",
                *arguments,
            ],
            env=plain_environment(**connection, **(environment or {})),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise PartFailed(f"psql failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def _running(self) -> Child:
        if self._child is None:
            raise PartFailed("PostgreSQL is not running: call start() first")
        return self._child

    def _make_cluster(self, account: Account) -> None:
        """`initdb` into an empty folder; a half-made cluster of an interrupted run is thrown away first."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        if account.uid >= 0:
            os.chown(self.data, account.uid, account.gid)
        with tempfile.TemporaryFile() as secret:
            secret.write(self.password(SUPERUSER).encode() + b"\n")
            secret.flush()
            if account.uid >= 0:
                os.fchown(secret.fileno(), account.uid, account.gid)
            child = Child.start(
                self._program("initdb", account, *self._initdb_options(secret.fileno())), keep_open=[secret.fileno()]
            )
            child.wait()
        if child.exit_code() != 0:
            (self.data / "PG_VERSION").unlink(missing_ok=True)
            raise PartFailed(f"initdb failed; the end of {self._log}:\n{child.log_tail()}")

    def _initdb_options(self, secret: int) -> list[str]:
        options = [
            *("-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile=/dev/fd/{secret}"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"),
        ]
        return options if self._durable else [*options, "--no-sync"]

    def _serve(self, account: Account) -> Child:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            **({} if self._durable else UNSAFE_AND_FAST),
            **self._settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Child.start(self._program("postgres", account, *options))

    def _program(self, name: str, account: Account, *options: str) -> Program:
        data = "/proc/self/cwd" if account.uid >= 0 else str(self.data)
        return Program(
            name=name,
            argv=[str(runnable_by(account, self._programs) / name), "-D", data, *options],
            log=self._log,
            environment=plain_environment(),
            cwd=self.data,
            account=account,
            death_signal=signal.SIGQUIT,
        )

    def _becomes_ready(self, deadline: float) -> bool:
        """The eighth line of postmaster.pid says `ready`, as pg_ctl reads it."""
        child = self._running()
        while time.monotonic() < deadline and child.is_running():
            lines = self._pid_file_lines()
            if len(lines) >= 8 and lines[0] == str(child.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _worth_another_try(self, log: str) -> bool:
        """Back-ends of a killed server may hold its memory for a moment; a port we chose ourselves may be taken meanwhile."""
        if "could not bind" in log and self._may_change_port:
            self.port = free_port()
            return True
        return "is still in use" in log or "lock file" in log

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, PermissionError):
            return []

    def _end_orphan(self) -> None:
        """Stop a server left over in our folder; forget a pid file whose number belongs to some other process now."""
        lines = self._pid_file_lines()
        if not lines or not lines[0].strip().isdigit():
            return
        pid = int(lines[0])
        start = started_at(pid)
        if start is not None and _works_in(pid, self.data):
            os.kill(pid, signal.SIGQUIT)
            if not wait_until_gone(pid, start, 10.0):
                raise PartFailed(f"another PostgreSQL (process {pid}) uses {self.data}: stop it first")
        elif start is not None and Path("/proc/self").exists():
            (self.data / "postmaster.pid").unlink(missing_ok=True)


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:
        return False


def init_folder() -> Path:
    """`init-db/` of the repository this package is installed from."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "init-db").is_dir():
            return parent / "init-db"
    raise PartMissing("the folder init-db/ is missing: install Modelmill from a clone of its repository")
