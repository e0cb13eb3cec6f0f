"""What does a profile cost against plain DuckDB on the same file, threads and memory?"""

import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common.answer import Answer
from benchmarks.common.bench import Bench
from benchmarks.common.processes import in_a_child
from benchmarks.common.tables import CENSUS, census, census_times, generated

CASES = {"copy": "DuckDB copy", "summarize": "DuckDB copy, SUMMARIZE", "profile": "profile"}
ROUNDS = 5
ROUNDS_OF_LARGE = 3
LARGE_BYTES = 250 * 10**6
CHILD_SECONDS = 120.0


def profile(bench: Bench) -> Answer:
    rounds: list[dict[str, Any]] = []
    files = files_of(bench)
    for name, file in files.items():
        for number in range(1 if bench.quick else rounds_for(file)):
            bench.say(f"profile: {name}, round {number + 1}")
            rounds += [{"file": name, "case": case, **measure(bench.folder, file, case)} for case in CASES]
    return Answer(
        title="Profile of a CSV by the trainer against plain DuckDB",
        columns=["", "seconds", "MB/s", "peak, MiB", "of copy", "of copy, SUMMARIZE"],
        rows=[row for name, file in files.items() for row in rows_of(name, file, rounds)],
        notes=[
            "Medians of interleaved rounds, each in a process of its own with two threads and the same memory limits; "
            "interpreter start and imports are left out, peak memory holds them."
        ],
        rounds=rounds,
    )


def files_of(bench: Bench) -> dict[str, Path]:
    if bench.quick:
        return {"first 2,000 census rows": census(bench.folder, 2_000)}
    return {
        "census": CENSUS,
        "census × 20": census_times(bench.folder, 20),
        "generated": generated(bench.folder, 500),
    }


def rounds_for(file: Path) -> int:
    return ROUNDS_OF_LARGE if file.stat().st_size > LARGE_BYTES else ROUNDS


def measure(folder: Path, file: Path, case: str) -> dict[str, Any]:
    out = folder / "profile"
    out.mkdir()
    try:
        task = {"file": str(file), "folder": str(out), "case": case}
        return in_a_child("benchmarks.profile.child", task, CHILD_SECONDS)
    finally:
        shutil.rmtree(out)


def rows_of(name: str, file: Path, rounds: list[dict[str, Any]]) -> list[list[str]]:
    megabytes = file.stat().st_size / 1e6
    seconds = {case: median(rounds, "seconds", {"file": name, "case": case}) for case in CASES}
    peaks = {case: median(rounds, "memory_peak", {"file": name, "case": case}) / 2**20 for case in CASES}
    return [
        [
            f"{name}, {megabytes:.1f} MB: {words}" if megabytes < 1 else f"{name}, {megabytes:.0f} MB: {words}",
            f"{seconds[case]:.2f}",
            f"{megabytes / seconds[case]:.0f}",
            f"{peaks[case]:.0f}",
            f"{seconds[case] / seconds['copy']:.2f}",
            f"{seconds[case] / seconds['summarize']:.2f}",
        ]
        for case, words in CASES.items()
    ]


def median(rounds: list[dict[str, Any]], figure: str, where: Mapping[str, str]) -> float:
    return statistics.median(one[figure] for one in rounds if where.items() <= one.items())
