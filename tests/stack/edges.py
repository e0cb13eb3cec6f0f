"""The real nginx with the configuration that is shipped, and small services behind it: what the tests of the edge start."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 15.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Service:
    """One process of `upstream.py`; what it notes is in `notes`."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    notes: Path

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def noted(self) -> list[str]:
        return self.notes.read_text().splitlines()


@contextmanager
def service(name: str, folder: Path, port: int | None = None) -> Generator[Service]:
    port, notes = port or free_port(), folder / f"{name}.notes"
    program = [sys.executable, str(Path(__file__).with_name("upstream.py")), name, str(port)]
    with notes.open("wb") as out:
        process = subprocess.Popen(program, stdout=out)
    try:
        until(lambda: listens(port), f"{name} listens")
        yield Service(name, port, process, notes)
    finally:
        process.kill()
        process.wait(10)


@dataclass(frozen=True)
class Edge:
    url: str
    port: int
    state: Path
    process: "subprocess.Popen[bytes]"

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        with httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False) as client:
            return client.request(method, path, **options)


@contextmanager
def edge(nginx: str, config: Path, api: str, ml: str) -> Generator[Edge]:
    """In a folder under /tmp that an ordinary user may enter: that is who nginx runs as, in production too."""
    state, port = Path(tempfile.mkdtemp(prefix="modelmill-edge-")), free_port()
    copy = state / "config"
    shutil.copytree(config, copy)
    user, group = ("nobody", "nogroup") if os.getuid() == 0 else (None, None)
    if user and group:
        (state / "log").touch()
        for path in (state, state / "log"):
            shutil.chown(path, user, group)
    told = {"API_SERVER": api, "ML_SERVICE": ml, "LISTEN": f"127.0.0.1:{port}", "RESOLVE_SECONDS": "0.2"}
    told |= {"NGINX_STATE": str(state / "run"), "PATH": f"{Path(nginx).parent}:/usr/sbin:/usr/bin:/bin"}
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(
            [copy / "run.sh"],
            env=told,
            stdout=log,
            stderr=log,
            cwd=state,
            user=user,
            group=group,
            extra_groups=[] if user else None,
        )
    try:
        until(lambda: listens(port) or process.poll() is not None, "nginx listens")
        assert process.poll() is None, (state / "log").read_text()
        yield Edge(f"http://127.0.0.1:{port}", port, state / "run", process)
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(state)
