"""A17, A18 and promise 33: no table kills, hangs or fattens the process that reads it; each is refused in words within its time."""

import json
import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mill_contracts.tasks import Limits, ProfileTask
from mill_trainer import cli

from tests.security.bad_files import GOOD, BadFile, corpus, given
from tests.security.evidence import LONG, SEED, Evidence

TESTS = "test_a17_bombs.py"
SECONDS, MEBIBYTES = 30.0, 512
SLOW_MACHINE = 4
"""Wall-clock is asserted with room: other things run beside the tests."""
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@dataclass(frozen=True)
class Outcome:
    kind: str
    seconds: float
    cpu_seconds: float
    mebibytes: float


def profile(folder: Path, bad: BadFile) -> Outcome:
    """As the worker does, in a process of its own: the trainer's command, a report on a pipe, a clock."""
    folder.mkdir()
    raw, task_file = folder / "raw", folder / "task.json"
    bad.write(raw)
    task = ProfileTask(
        raw_file=raw,
        out_dir=folder / "out",
        scratch_dir=folder / "scratch",
        file_name=bad.name,
        limits=Limits(memory_bytes=2**30),
    )
    task_file.write_text(task.model_dump_json())
    reading, writing = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _run_child(task_file, reading, writing)
    os.close(writing)
    usage, status = _wait(child, begun + SECONDS * SLOW_MACHINE)
    with os.fdopen(reading, "rb") as report:
        said = report.read()
    messages: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines() if line.strip()]
    last = messages[-1].get("kind", "?") if messages and status == 0 else f"died with {status}"
    return Outcome(last, time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _run_child(task_file: Path, reading: int, writing: int) -> None:
    code = 1
    try:
        os.close(reading)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        code = cli.main(["profile", "--task", str(task_file), "--report-fd", str(writing)])
    finally:
        os._exit(code)


def _wait(child: int, deadline: float) -> tuple[resource.struct_rusage, int]:
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            return usage, status
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return usage, status
        time.sleep(0.005)


def test_the_corpus_is_large() -> None:
    files = corpus(SEED)
    assert len(files) >= 150
    assert len({one.title for one in files}) == len(files)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_no_hostile_table_harms_whoever_reads_it(tmp_path: Path) -> None:
    evidence = Evidence(33, "Bad data files do no harm", TESTS, full=150)
    plain = profile(tmp_path / "good", BadFile("good", "t.csv", given(GOOD)))
    assert plain.kind == "succeeded", plain
    wrong: list[str] = []
    worst_seconds = worst_cpu = worst_mebibytes = 0.0
    files = corpus(SEED)
    for number, bad in enumerate(files if LONG else files[1::9]):
        found = profile(tmp_path / str(number), bad)
        extra = found.mebibytes - plain.mebibytes
        allowed = {"refused", "succeeded"} if bad.harmless else {"refused"}
        failed = found.kind not in allowed or extra > MEBIBYTES or found.cpu_seconds > SECONDS
        evidence.count(failed=failed)
        if failed:
            wrong.append(
                f"{bad.title}: {found.kind} in {found.seconds:.1f} s ({found.cpu_seconds:.1f} s CPU), +{extra:.0f} MiB"
            )
        worst_seconds, worst_cpu = max(worst_seconds, found.seconds), max(worst_cpu, found.cpu_seconds)
        worst_mebibytes = max(worst_mebibytes, extra)
    evidence.figures = {
        "files": evidence.trials,
        "slowest_seconds": round(worst_seconds, 1),
        "slowest_cpu_seconds": round(worst_cpu, 1),
        "most_extra_mebibytes": round(worst_mebibytes),
    }
    evidence.notes = "; ".join(wrong[:8])
    evidence.keep()
    assert wrong == []
