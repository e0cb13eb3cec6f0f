"""PostgreSQL's programs are found, and reachable for the account that runs them."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mill_local.errors import PartMissing
from mill_local.process import Account, Child, Program, plain_environment
from mill_local.wheel import programs, runnable_by

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="modelmill-wheel-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def closed_install(tmp_path: Path) -> Path:
    """The wheel as it lies in the virtual environment of a home of mode 700."""
    installed = programs().parent.parent
    home = tmp_path / "home"
    shutil.copytree(installed, home / installed.name)
    libraries = installed.with_name(f"{installed.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name)
    home.chmod(0o700)
    return home / programs().relative_to(installed.parent)


def test_without_a_change_of_account_the_programs_run_where_they_lie(closed_install: Path, open_folder: Path) -> None:
    assert runnable_by(Account(), closed_install, [open_folder]) == closed_install


@as_root
def test_programs_in_a_closed_home_run_from_a_copy(closed_install: Path, open_folder: Path, tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    account = Account(nobody.pw_uid, nobody.pw_gid)
    folder = runnable_by(account, closed_install, [open_folder])
    assert folder.is_relative_to(open_folder)
    for name in ("postgres", "initdb"):
        child = Child.start(
            Program(name, [str(folder / name), "--version"], tmp_path / "log", plain_environment(), account=account)
        )
        assert child.wait(20)
        assert child.exit_code() == 0, child.log_tail()
    assert runnable_by(account, closed_install, [open_folder]) == folder


@as_root
def test_a_folder_that_others_may_write_to_never_holds_the_copy(closed_install: Path, open_folder: Path) -> None:
    open_folder.chmod(0o777)
    nobody = pwd.getpwnam("nobody")
    with pytest.raises(PartMissing, match="cannot copy"):
        runnable_by(Account(nobody.pw_uid, nobody.pw_gid), closed_install, [open_folder])
