"""How fast is an upload against a plain copy with sha256, and how much memory does the api-server need?"""

import hashlib
import os
import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelmill import JobCancelled, JobFailed

from benchmarks.common.answer import Answer
from benchmarks.common.bench import Bench
from benchmarks.common.processes import watching
from benchmarks.common.tables import generated

MEBIBYTE = 2**20
MOST_GROWTH = 64 * MEBIBYTE
ROUNDS = 3
JOB_SECONDS = 60


def upload(bench: Bench) -> Answer:
    table = generated(bench.folder, 8 if bench.quick else 500)
    size = table.stat().st_size
    api_server = bench.pid("api-server")
    bench.mill.auth.me()
    rounds: list[dict[str, Any]] = []
    for number in range(1 if bench.quick else ROUNDS):
        bench.say(f"upload: round {number + 1}")
        rounds.append({"case": "copy", "seconds": copy_with_sha256(table, bench.folder / "copy.csv")})
        rounds.append({"case": "upload", **send(bench, table, api_server)})
    return answer(size, rounds)


def copy_with_sha256(source: Path, target: Path) -> float:
    """Seconds for one pass: read, hash, write, and sync to disk, since an answered upload is on disk too."""
    begun, digest = time.perf_counter(), hashlib.sha256()
    with source.open("rb", buffering=0) as reading, target.open("wb", buffering=0) as writing:
        while chunk := reading.read(MEBIBYTE):
            digest.update(chunk)
            writing.write(chunk)
        os.fsync(writing.fileno())
    seconds = time.perf_counter() - begun
    target.unlink()
    return seconds


def send(bench: Bench, table: Path, api_server: int) -> dict[str, Any]:
    """Upload it, then take it away again with its profile job, which is another question's."""
    with watching(api_server) as watched:
        begun = time.perf_counter()
        dataset = bench.mill.datasets.upload(table, project_id=bench.project.id, name="upload")
        seconds = time.perf_counter() - begun
    if dataset.size_bytes != table.stat().st_size:
        raise AssertionError(f"{dataset.size_bytes} bytes arrived")
    if dataset.job_id is not None:
        bench.mill.jobs.cancel(dataset.job_id)
        with suppress(JobCancelled, JobFailed):
            bench.mill.jobs.wait(dataset.job_id, timeout=JOB_SECONDS)
    bench.mill.datasets.delete(dataset.id)
    return {
        "seconds": seconds,
        "memory_before": watched.before,
        "memory_peak": watched.peak,
        "memory_growth": watched.growth,
        "peak_is_exact": watched.exact_peak,
        "cpu_seconds": watched.cpu_seconds,
    }


def answer(size: int, rounds: list[dict[str, Any]]) -> Answer:
    copy = statistics.median(one["seconds"] for one in rounds if one["case"] == "copy")
    sent = [one for one in rounds if one["case"] == "upload"]
    seconds = statistics.median(one["seconds"] for one in sent)
    growth, before = max(one["memory_growth"] for one in sent), sent[0]["memory_before"]
    cpu = statistics.median(one["cpu_seconds"] for one in sent)
    uploaded = [f"{seconds:.2f}", f"{size / 1e6 / seconds:.0f}", f"{copy / seconds:.2f}", f"{cpu:.2f}"]
    memory = [f"{before / MEBIBYTE:.0f}", f"{growth / MEBIBYTE:.1f}"]
    kept = growth <= MOST_GROWTH
    return Answer(
        title=f"Upload of a {size / 1e6:.0f} MB CSV by the SDK",
        columns=["", "seconds", "MB/s", "of the copy", "CPU s", "memory before, MiB", "growth, MiB"],
        rows=[
            ["copy with sha256", f"{copy:.2f}", f"{size / 1e6 / copy:.0f}", "1.00", "–", "–", "–"],
            ["upload", *uploaded, *memory],
        ],
        notes=[
            f"Medians of {len(sent)} interleaved rounds; memory and CPU are the api-server's, the growth is the largest of "
            f"all rounds and {'keeps' if kept else 'BREAKS'} the limit of {MOST_GROWTH // MEBIBYTE} MiB."
        ],
        broken=() if kept else (f"the api-server grew by {growth / MEBIBYTE:.1f} MiB during an upload",),
        rounds=rounds,
    )
