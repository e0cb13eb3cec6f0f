"""`modelmill doctor`: looks at everything and changes nothing. Each check is a line; what is wrong is named.

Of every object that a row names: is it there, has it the acknowledged size and sha256, and does a model still answer its golden rows.
"""

import importlib.util
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mill_kit.problems import Problem
from mill_kit.store import CorruptObject, ObjectMissing, ObjectStore, StoreUnavailable

from mill_local.care.backup import Tell
from mill_local.care.database import Snapshot
from mill_local.care.errors import CareFailed
from mill_local.care.installation import Installation
from mill_local.care.inventory import Named, doomed_keys, named_objects
from mill_local.home import Home, StackState
from mill_local.ports import LOOPBACK

LEAST_BYTES, LEAST_SHARE = 2 * 2**30, 0.05
CLOCK_SECONDS = 2.0
MOST_NAMED = 50
_REVISION = re.compile(r'^(revision|down_revision)(?::[^=]+)? = "(\w+)"', re.MULTILINE)


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """One line of the report. `findings` name what is wrong, at most fifty of them."""

    name: str
    verdict: Verdict
    detail: str
    findings: tuple[str, ...] = ()


def examine(patient: Installation, tell: Tell) -> Iterator[Check]:
    """Every check in turn; one that cannot be made is a failed one."""
    home = patient.home
    if home is not None:
        yield _guarded("permissions", lambda: permissions(home))
        yield _guarded("disk", lambda: disk(home.root))
    if patient.state is not None:
        state = patient.state
        yield _guarded("parts", lambda: parts(state))
    try:
        with patient.database.snapshot() as snapshot:
            yield Check("database", Verdict.OK, snapshot.value("split_part(version(), ' on ', 1)"))
            yield _guarded("migrations", lambda: migrations(snapshot))
            yield _guarded("clock", lambda: clock(snapshot))
            yield _guarded("jobs", lambda: jobs(snapshot))
            named, doomed = list(named_objects(snapshot)), doomed_keys(snapshot)
    except CareFailed as problem:
        yield Check("database", Verdict.FAILED, str(problem.detail))
        return
    yield _guarded("store", lambda: store(patient.store))
    yield from objects(patient.store, named, tell)
    yield _guarded("orphans", lambda: orphans(patient.store, {one.key for one in named} | doomed))


def _guarded(name: str, make: Callable[[], Check]) -> Check:
    try:
        return make()
    except (Problem, OSError) as problem:
        detail = problem.detail if isinstance(problem, Problem) else str(problem)
        return Check(name, Verdict.FAILED, str(detail))


def permissions(home: Home) -> Check:
    """Secrets are for their owner alone."""
    open_to_others = [
        f"{path} has mode {stat.S_IMODE(path.stat().st_mode):04o}: chmod go= {path}"
        for path in (home.root, home.secrets, *sorted(home.root.glob("**/secrets/*")))
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    return _verdict("permissions", open_to_others, "secrets are readable by their owner alone", "can be read by others")


def disk(folder: Path) -> Check:
    usage = shutil.disk_usage(folder)
    free = f"{usage.free / 2**30:.1f} GiB of {usage.total / 2**30:.1f} GiB are free"
    short = usage.free < LEAST_BYTES or usage.free < LEAST_SHARE * usage.total
    return Check("disk", Verdict.WARNING if short else Verdict.OK, f"{free}: make room" if short else free)


def parts(state: StackState) -> Check:
    """Each part of the running stack runs and listens."""
    silent = [f"{part.name} is {part.state}" for part in state.parts if part.state != "running"]
    for part in state.parts:
        if part.port is not None:
            try:
                socket.create_connection((LOOPBACK, part.port), timeout=3).close()
            except OSError as error:
                silent.append(f"{part.name} does not listen on port {part.port}: {error}")
    return _verdict("parts", silent, f"{len(state.parts)} parts run", "do not run: see `modelmill logs`")


def migrations(snapshot: Snapshot) -> Check:
    found, head = snapshot.value("version_num FROM alembic_version"), newest_migration()
    if head is None:
        return Check(
            "migrations", Verdict.WARNING, f"{found}; mill-api is not installed here, so the newest is not known"
        )
    if found == head:
        return Check("migrations", Verdict.OK, f"{found}, the newest")
    return Check("migrations", Verdict.FAILED, f"{found}, this build needs {head}: `modelmill up` migrates")


def newest_migration() -> str | None:
    """Of the api-server installed here, read from its files: nothing of it is imported."""
    spec = importlib.util.find_spec("mill_api")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "db" / "migrations" / "versions"
    found = [match for path in folder.glob("*.py") for match in _REVISION.findall(path.read_text("utf-8"))]
    made = {name for kind, name in found if kind == "revision"}
    heads = made - {name for kind, name in found if kind == "down_revision"}
    return heads.pop() if len(heads) == 1 else None


def clock(snapshot: Snapshot) -> Check:
    """Leases live by the database's clock, tokens by this machine's; both must be right, and time must not have gone back."""
    apart = abs(float(snapshot.value("extract(epoch FROM clock_timestamp())")) - time.time())
    ahead = float(snapshot.value("coalesce(extract(epoch FROM max(at) - clock_timestamp()), 0) FROM job_events") or 0)
    if apart > CLOCK_SECONDS:
        return Check("clock", Verdict.WARNING, f"the database's clock is {apart:.1f} s apart from this one: use NTP")
    if ahead > CLOCK_SECONDS:
        return Check("clock", Verdict.WARNING, f"the newest event is {ahead:.0f} s in the future: the clock went back")
    return Check("clock", Verdict.OK, f"{apart:.2f} s between the database and here")


def jobs(snapshot: Snapshot) -> Check:
    expired = int(
        snapshot.value("count(*) FROM jobs WHERE state = 'running' AND lease_until < now() - interval '2 min'")
    )
    waiting = int(snapshot.value("count(*) FROM jobs WHERE state IN ('queued', 'running')"))
    if expired:
        return Check("jobs", Verdict.WARNING, f"{expired} jobs are held by workers not heard of: does a worker run?")
    return Check("jobs", Verdict.OK, f"{waiting} under way")


def store(objects: ObjectStore) -> Check:
    objects.check()
    return Check("store", Verdict.OK, "can be written to")


def objects(objects: ObjectStore, named: list[Named], tell: Tell) -> Iterator[Check]:
    """Reads every named object whole, and opens every model."""
    wrong: list[str] = []
    refused: list[str] = []
    checked = models = 0
    with tempfile.TemporaryDirectory(prefix="modelmill-doctor-") as folder:
        path = Path(folder) / "object"
        for number, one in enumerate(named):
            tell("objects", number, len(named))
            finding = _look(objects, one, path)
            checked += one.sha256 is not None
            if finding is not None:
                wrong.append(finding)
            elif one.kind == "model":
                models += 1
                refused += [f"{one.key}: {reason}" for reason in _refusal(path)]
            path.unlink(missing_ok=True)
    tell("objects", len(named), len(named))
    good = f"{len(named)} named by rows are there, {checked} of them with the acknowledged sha256"
    yield _verdict("objects", wrong, good, "are missing or damaged: restore them from a backup")
    yield _verdict("models", refused, f"{models} open and repeat their golden rows", "do not answer as they did")


def _look(objects: ObjectStore, one: Named, path: Path) -> str | None:
    """Fetch it to `path`; what is wrong with it."""
    try:
        info = objects.fetch(one.key, path, sha256=one.sha256)
    except ObjectMissing:
        return f"{one.key} ({one.kind}) is missing"
    except CorruptObject:
        return f"{one.key} ({one.kind}) differs from what was acknowledged"
    except StoreUnavailable as problem:
        return f"{one.key} ({one.kind}) cannot be read: {problem.detail}"
    if one.size is not None and info.size != one.size:
        return f"{one.key} ({one.kind}) has {info.size} bytes, acknowledged were {one.size}"
    return None


def _refusal(path: Path) -> Iterator[str]:
    from mill_pack import open_package  # numpy and the engines: only doctor needs them, not every command

    try:
        open_package(path)
    except Problem as problem:
        yield str(problem.detail)


def orphans(objects: ObjectStore, known: set[str]) -> Check:
    """Objects that no row names are garbage of crashes; the sweep takes them a day later."""
    found = sorted({key for key in objects.keys("") if not key.startswith("published/")} - known)
    detail = f"{len(found)} objects that no row names; the sweep deletes them when they are a day old"
    return Check("orphans", Verdict.OK, detail, tuple(found[:MOST_NAMED]))


def _verdict(name: str, wrong: list[str], good: str, bad: str) -> Check:
    if not wrong:
        return Check(name, Verdict.OK, good)
    return Check(name, Verdict.FAILED, f"{len(wrong)} {bad}", tuple(wrong[:MOST_NAMED]))
