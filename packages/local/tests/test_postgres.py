"""The embedded PostgreSQL keeps its rows, its passwords and its manners."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mill_local.errors import PartFailed
from mill_local.postgres import SUPERUSER, PostgresServer
from mill_local.process import started_at, wait_until_gone
from mill_local.testing import DatabaseMaker


def sql(server: PostgresServer, statement: str, database: str = "modelmill") -> str:
    return server.psql("--command", statement, database=database)


def test_no_row_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "pg")
    server.start()
    try:
        server.create_database()
        sql(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        server.kill()
        server.start()
        assert sql(server, "SELECT count(*) FROM kept") == "1000"
        server.stop()
        server.start()
        assert sql(server, "SELECT count(*) FROM kept") == "1000"
    finally:
        server.stop()


def test_a_stale_pid_file_naming_a_living_stranger_does_not_block_the_start(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "pg", durable=False)
    server.start()
    server.kill()
    pid_file = server.data / "postmaster.pid"
    stranger = str(os.getpid())
    pid_file.write_text("\n".join([stranger, *pid_file.read_text().splitlines()[1:]]))
    server.start()
    server.stop()


def test_the_server_does_not_outlive_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from mill_local.postgres import PostgresServer\n"
        "server = PostgresServer(pathlib.Path(sys.argv[1]), durable=False); server.start()\n"
        "print(server.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "pg")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    start = started_at(pid)
    assert start is not None
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    assert wait_until_gone(pid, start, 15.0)


def test_roles_are_neither_superusers_nor_above_row_level_security(postgres_server: PostgresServer) -> None:
    query = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'mill\\_%' AND NOT rolsuper AND NOT rolbypassrls AND rolcanlogin"
    assert sql(postgres_server, query) == "3"


def test_only_the_owner_may_create_tables(postgres_server: PostgresServer, fresh_database: DatabaseMaker) -> None:
    made = fresh_database()
    psql = postgres_server.psql
    psql("--command", "CREATE TABLE mine (n int)", made.owner_url)
    for url in (made.app_url, made.system_url):
        with pytest.raises(PartFailed, match="permission denied"):
            psql("--command", "CREATE TABLE theirs (n int)", url)


def test_a_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    url = postgres_server.url("mill_app").replace(postgres_server.password("mill_app"), "guess")
    with pytest.raises(PartFailed, match="password authentication failed"):
        postgres_server.psql("--command", "SELECT 1", url)


def test_a_database_made_from_a_template_holds_its_tables(
    postgres_server: PostgresServer, fresh_database: DatabaseMaker
) -> None:
    first = fresh_database()
    sql(postgres_server, "CREATE TABLE seeded AS SELECT 7 AS n", database=first.name)
    second = fresh_database(template=first.name)
    assert sql(postgres_server, "TABLE seeded", database=second.name) == "7"


def test_the_initial_script_may_run_again_and_loses_nothing(
    postgres_server: PostgresServer, fresh_database: DatabaseMaker
) -> None:
    made = fresh_database()
    sql(postgres_server, "CREATE TABLE kept AS SELECT 1 AS n", database=made.name)
    postgres_server.create_database(made.name)
    assert sql(postgres_server, "TABLE kept", database=made.name) == "1"


def test_passwords_are_private_files(postgres_server: PostgresServer) -> None:
    for role in ("mill_owner", "mill_app", "mill_system", SUPERUSER):
        assert (postgres_server.home / "secrets" / role).stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give up its rights")
def test_root_is_given_up_even_where_nobody_else_may_enter(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    server = PostgresServer(closed / "pg", durable=False)
    server.start()
    try:
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        assert sql(server, "SELECT 1", database="postgres") == "1"
    finally:
        server.stop()


def test_a_start_that_cannot_work_says_why(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "pg", durable=False, settings={"shared_buffers": "nonsense"})
    begun = time.monotonic()
    with pytest.raises(PartFailed, match="shared_buffers"):
        server.start()
    assert time.monotonic() - begun < 30
