# pyright: reportUnknownMemberType=false
# DuckDB's stubs are incomplete; nothing of it leaves this file.
"""One case in a process of its own: a task as JSON on standard input; seconds and peak memory as JSON on standard output."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
from mill_contracts.tasks import Limits, ProfileTask
from mill_trainer import limits
from mill_trainer.duck import MEMORY_SHARE
from mill_trainer.profile import profile
from mill_trainer.reporting import SilentReport

from benchmarks.common.processes import memory_bytes


def main() -> None:
    task: dict[str, Any] = json.load(sys.stdin)
    file, folder = Path(task["file"]), Path(task["folder"])
    allowed = Limits()
    limits.apply(allowed)
    begun = time.perf_counter()
    if task["case"] == "profile":
        by_the_trainer(file, folder, allowed)
    else:
        by_duckdb(file, folder, allowed, summarize=task["case"] == "summarize")
    seconds = time.perf_counter() - begun
    json.dump({"seconds": seconds, "memory_peak": memory_bytes("self", "VmHWM")}, sys.stdout)


def by_the_trainer(file: Path, folder: Path, allowed: Limits) -> None:
    task = ProfileTask(
        raw_file=file, out_dir=folder, scratch_dir=folder / "scratch", file_name=file.name, limits=allowed
    )
    profile(task, SilentReport())


def by_duckdb(file: Path, folder: Path, allowed: Limits, *, summarize: bool) -> None:
    settings: dict[str, Any] = {
        "memory_limit": f"{int(allowed.memory_bytes * MEMORY_SHARE)}B",
        "threads": allowed.threads,
        "temp_directory": str(folder / "spill"),
    }
    parquet = folder / "data.parquet"
    with duckdb.connect(":memory:", config=settings) as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_csv('{file}')) TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)"  # noqa: S608
        )
        if summarize:
            connection.execute(f"SUMMARIZE SELECT * FROM '{parquet}'").fetchall()  # noqa: S608


if __name__ == "__main__":
    main()
