"""Where and with what a figure was measured."""

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

LIBRARIES = (
    "duckdb",
    "fastapi",
    "httpx",
    "lightgbm",
    "numpy",
    "pyarrow",
    "scikit-learn",
    "uvicorn",
    "uvloop",
    "xgboost-cpu",
)


@dataclass(frozen=True)
class Machine:
    """`load` is the load average of the minute before: a busy machine measures itself."""

    date: str
    commit: str
    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    libraries: dict[str, str]
    load: float

    @classmethod
    def now(cls) -> Self:
        return cls(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=_commit(),
            processor=_field(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
            cores=os.cpu_count() or 1,
            memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            system=platform.platform(),
            python=platform.python_version(),
            libraries={name: version(name) for name in LIBRARIES},
            load=round(os.getloadavg()[0], 2),
        )

    def words(self) -> str:
        """One line under a table."""
        day = self.date.partition("T")[0]
        return (
            f"{day}, commit {self.commit[:10]}: {self.cores} cores of {self.processor}, {self.memory_gib:.0f} GiB, "
            f"Python {self.python}, load {self.load} at the start"
        )


def _field(path: Path, name: str) -> str | None:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _commit() -> str:
    """With `+` when tracked files differ from it; empty outside a checkout."""
    here = Path(__file__).parent
    try:
        described = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=40", "--exclude=*"]
        return subprocess.run(described, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
