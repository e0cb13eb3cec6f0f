"""Drives a server on this machine with the load generator of `single_prediction/`, which runs in a process of its own."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from benchmarks.common.processes import cpu_seconds

SINGLE = Path(__file__).resolve().parents[1] / "single_prediction"
WARM_UP_SECONDS = 30.0


@dataclass(frozen=True)
class Target:
    """One request that is sent over and over, and the process that answers it."""

    name: str
    port: int
    pid: int
    request: bytes


def post(path: str, body: object, headers: Mapping[str, str]) -> bytes:
    content = json.dumps(body).encode()
    return (
        _head("POST", path, {**headers, "content-type": "application/json", "content-length": str(len(content))})
        + content
    )


def get(path: str) -> bytes:
    return _head("GET", path, {})


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def drive(target: Target, connections: int, seconds: float) -> dict[str, float]:
    """requests, errors, rps, p50_ms, p99_ms, and the server's CPU time per request (cpu_us)."""
    spec = {
        "host": "127.0.0.1",
        "port": target.port,
        "request": base64.b64encode(target.request).decode(),
        "connections": connections,
        "seconds": seconds,
    }
    before = cpu_seconds(target.pid)
    done = subprocess.run(
        [sys.executable, str(SINGLE / "client.py")],
        input=json.dumps(spec).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + 30,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return {**figures, "cpu_us": (cpu_seconds(target.pid) - before) / figures["requests"] * 1e6}


def warm_up(target: Target) -> None:
    """Until it answers without an error: routes known, model loaded."""
    deadline = time.monotonic() + WARM_UP_SECONDS
    while drive(target, 2, 0.3)["errors"]:
        if time.monotonic() > deadline:
            raise SystemExit(f"{target.name}: still answers errors after {WARM_UP_SECONDS:.0f} s")


@contextmanager
def serving_noop(port: int) -> Generator[int]:
    """The process id of the raw ASGI no-op on `port`, once it answers."""
    process = subprocess.Popen([sys.executable, str(SINGLE / "noop.py"), str(port)])
    try:
        _await(f"http://127.0.0.1:{port}/", process)
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
