"""How fast is one prediction over HTTP, against a no-op endpoint on the same server?

`python benchmarks/single_prediction/run.py [--seconds 3] [--rounds 3]` starts ml-service and a no-op ASGI app, drives them in
turns from a process of its own with 1, 16 and 64 connections, prints p50, p99 and requests/s (medians of the rounds), the share of
the no-op's requests/s and the server's CPU time per request, which says more than the rest on a machine that has other work, and
writes `benchmarks/results/single_prediction-<date>.json`. Loopback only.
"""

import argparse
import base64
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import models
from mill_contracts.ids import new_id
from mill_contracts.routing import ApiKeyEntry, Route, RoutingSnapshot, SignedSnapshot, snapshot_object_key
from mill_kit import signing
from mill_kit.store.folder import FileStore
from mill_local.ports import free_port

HERE = Path(__file__).parent
CONNECTIONS = (1, 16, 64)
BATCH_ROWS = 1000
FIGURES = ("rps", "p50_ms", "p99_ms", "cpu_us")
SECRET = "mm_benchmark_" + "0" * 40


@dataclass(frozen=True)
class Case:
    name: str
    port: int
    server: int
    request: bytes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="*", default=list(CONNECTIONS))
    parser.add_argument("--no-write", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelmill-bench-") as name:
        folder = Path(name)
        private, shared = prepare(folder)
        service, noop = free_port(), free_port()
        command = [sys.executable, "-m", "mill_serving", "serve", "--port", str(service)]
        with (
            running(command, environment(folder), f"http://127.0.0.1:{service}/health/ready") as server,
            running(
                [sys.executable, str(HERE / "noop.py"), str(noop)], os.environ, f"http://127.0.0.1:{noop}/"
            ) as other,
        ):
            cases = build_cases((service, server), (noop, other), private, shared)
            results = measure(cases, chosen.seconds, chosen.rounds, chosen.connections)
    show(results)
    if not chosen.no_write:
        write(results, {"private": private.engine, "shared": shared.engine}, chosen)


def prepare(folder: Path) -> tuple[models.Built, models.Built]:
    """Two packages: one published with a signed snapshot and an API key, one in the folder of shared models."""
    (folder / "shared").mkdir()
    private = models.xgboost_30_floats(folder)
    shared = models.forest_mixed(folder / "shared")
    store, pair = FileStore(folder / "objects"), signing.new_key_pair()
    (folder / "public.pem").write_text(pair.public_pem)
    (folder / "private.pem").write_text(pair.private_pem)
    key = signing.load_private_key(folder / "private.pem")
    info = store.put_file("models/a/b/model.mill", private.path)
    workspace = new_id()
    route = Route.model_validate(
        {
            "model_id": private.model_id,
            "model_version_id": private.version_id,
            "workspace_id": workspace,
            "name": private.name,
            "version": 1,
            "object_key": info.key,
            "sha256": info.sha256,
            "size": info.size,
        }
    )
    entry = ApiKeyEntry(
        key_id=new_id(),
        workspace_id=workspace,
        user_id=new_id(),
        sha256=sha256(SECRET.encode()).hexdigest(),
        scopes=("predict",),
    )
    snapshot = RoutingSnapshot(number=1, issued_at=datetime.now(UTC), routes=(route,), api_keys=(entry,))
    text = snapshot.model_dump_json()
    signed = SignedSnapshot(key_id=signing.key_id(key.public_key()), payload=text, signature=signing.sign(text, key))
    store.put(snapshot_object_key(1), signed.model_dump_json().encode())
    return private, shared


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "MILL_ENVIRONMENT": "test",
        "MILL_LOG_LEVEL": "WARNING",
        "MILL_STORE__URL": f"file://{folder / 'objects'}",
        "MILL_PUBLISH__PUBLIC_KEY_FILE": str(folder / "public.pem"),
        "MILL_SERVING__CACHE_DIR": str(folder / "serving"),
        "MILL_SERVING__SHARED_MODELS_DIR": str(folder / "shared"),
        "MILL_SERVING__DRAIN_SECONDS": "0",
    }


@contextmanager
def running(command: list[str], variables: Mapping[str, str], url: str) -> Generator[int]:
    """The process id, once `url` answers."""
    process = subprocess.Popen(command, env=dict(variables))
    try:
        _await(url, process)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(url, timeout=2):  # noqa: S310 - our own loopback URL
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{url} does not answer")


def build_cases(
    service: tuple[int, int], noop: tuple[int, int], private: models.Built, shared: models.Built
) -> list[Case]:
    """`service` and `noop` are port and process id."""
    row = {"input_data": private.rows[0], "use_cache": False}
    mixed = {"input_data": shared.rows[0], "use_cache": False}
    rows = [private.rows[number % len(private.rows)] for number in range(BATCH_ROWS)]
    key = {"x-api-key": SECRET}
    return [
        Case("no-op", *noop, request("/", row, key)),
        Case("xgboost, 30 floats, API key", *service, request("/predict/xgboost_30", row, key)),
        Case("random forest, mixed, public", *service, request("/predict/forest_mixed", mixed, {})),
        Case(f"xgboost, {BATCH_ROWS} rows", *service, request("/predict/xgboost_30/batch", {"inputs": rows}, key)),
    ]


def request(path: str, body: object, headers: Mapping[str, str]) -> bytes:
    content = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
    lines += [f"content-length: {len(content)}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def measure(cases: list[Case], seconds: float, rounds: int, connections: list[int]) -> list[dict[str, Any]]:
    """Rounds are interleaved, so that a slow moment of the machine meets all cases alike."""
    for case in cases:
        warm_up(case)
    found: list[dict[str, Any]] = []
    for count in connections:
        taken: dict[str, list[dict[str, float]]] = {case.name: [] for case in cases}
        for _ in range(rounds):
            for case in cases:
                taken[case.name].append(drive(case, count, seconds))
        base = statistics.median(one["rps"] for one in taken[cases[0].name])
        for case in cases:
            figures = {key: statistics.median(one[key] for one in taken[case.name]) for key in FIGURES}
            errors = sum(one["errors"] for one in taken[case.name])
            found.append(
                {"case": case.name, "connections": count, **figures, "errors": errors, "of_noop": figures["rps"] / base}
            )
    return found


def warm_up(case: Case) -> None:
    """Until it answers without an error: snapshot taken up, model loaded."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not drive(case, 4, 0.5)["errors"]:
            return
    raise SystemExit(f"{case.name}: still answers errors")


def drive(case: Case, connections: int, seconds: float) -> dict[str, float]:
    spec = {
        "host": "127.0.0.1",
        "port": case.port,
        "request": base64.b64encode(case.request).decode(),
        "connections": connections,
        "seconds": seconds,
    }
    before = cpu_seconds(case.server)
    done = subprocess.run(
        [sys.executable, str(HERE / "client.py")],
        input=json.dumps(spec).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + 30,
    )
    figures = json.loads(done.stdout)
    return {**figures, "cpu_us": (cpu_seconds(case.server) - before) / figures["requests"] * 1e6}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(results: list[dict[str, Any]]) -> None:
    print(
        f"{'case':32} {'conn':>5} {'req/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'of no-op':>9} {'CPU µs':>8} {'errors':>7}"
    )
    for one in results:
        print(
            f"{one['case']:32} {one['connections']:>5} {one['rps']:>9.0f} {one['p50_ms']:>8.3f} {one['p99_ms']:>8.3f} "
            f"{one['of_noop']:>9.2f} {one['cpu_us']:>8.1f} {one['errors']:>7.0f}"
        )


def write(results: list[dict[str, Any]], engines: dict[str, str], chosen: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    document = {
        "date": now.isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "processor": _processor(), "python": platform.python_version()},
        "rounds": chosen.rounds,
        "seconds": chosen.seconds,
        "client": "benchmarks/single_prediction/client.py",
        "engines": engines,
        "results": results,
    }
    folder = HERE.parent / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"single_prediction-{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(path)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
