"""What the kernel knows of a process, and children that measure in a process of their own."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_SECONDS = 0.02


def memory_bytes(pid: int | str, field: str) -> int:
    """`VmRSS` (now) or `VmHWM` (the most so far) of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has no {field}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Watched:
    """A process during one round. `exact_peak`: the kernel's own high-water mark of the round, else the largest sample."""

    before: int
    peak: int
    exact_peak: bool
    cpu_seconds: float = 0.0

    @property
    def growth(self) -> int:
        return max(0, self.peak - self.before)


@contextmanager
def watching(pid: int) -> Generator[Watched]:
    """Resident memory and CPU time of `pid` while the block runs."""
    exact = _forget_peak(pid)
    before = memory_bytes(pid, "VmRSS")
    watched, spent = Watched(before, before, exact), cpu_seconds(pid)
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE_SECONDS):
            watched.peak = max(watched.peak, memory_bytes(pid, "VmRSS"))

    sampler = threading.Thread(target=sample, name="memory")
    sampler.start()
    try:
        yield watched
    finally:
        over.set()
        sampler.join()
    watched.cpu_seconds = cpu_seconds(pid) - spent
    watched.peak = max(watched.peak, memory_bytes(pid, "VmHWM" if exact else "VmRSS"))


def _forget_peak(pid: int) -> bool:
    """Set the high-water mark back to what is resident now; some containers forbid it."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def in_a_child(module: str, task: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Run `python -m module` with the task as JSON on its standard input; what it prints as JSON, and `process_seconds`."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(task),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=seconds,
        cwd=ROOT,
    )
    return {"process_seconds": time.perf_counter() - begun, **json.loads(done.stdout)}
