"""Fixtures of every member's tests: real S3 servers that the tests start themselves."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

# Read by the ML libraries when they load: their waiting threads would spin and starve each other on shared cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@dataclass(frozen=True)
class S3Server:
    """A running server: `url(bucket)` and the keys are what `mill_kit.store.open.open_store` takes."""

    kind: str
    port: int
    access_key: str
    secret_key: str

    def url(self, bucket: str) -> str:
        return f"s3://127.0.0.1:{self.port}/{bucket}?secure=false"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """MinIO where its binary is at hand (`MILL_TEST_MINIO`, or `minio` on the path), else `rclone serve s3`."""
    folder = tmp_path_factory.mktemp("s3")
    minio = os.environ.get("MILL_TEST_MINIO") or shutil.which("minio")
    with _minio(minio, folder) if minio else _rclone(folder) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with _rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@contextmanager
def _minio(binary: str, folder: Path) -> Generator[S3Server]:
    server = S3Server("minio", _free_port(), secrets.token_hex(8), secrets.token_hex(16))
    command = [binary, "server", "--quiet", "--address", f"127.0.0.1:{server.port}", str(folder)]
    keys = {"MINIO_ROOT_USER": server.access_key, "MINIO_ROOT_PASSWORD": server.secret_key, "MINIO_BROWSER": "off"}
    with _running(command, folder, server, {**os.environ, **keys}):
        yield server


@contextmanager
def _rclone(folder: Path) -> Generator[S3Server]:
    server = S3Server("rclone", _free_port(), secrets.token_hex(8), secrets.token_hex(16))
    keys = f"{server.access_key},{server.secret_key}"
    rclone = str(Path(sys.executable).with_name("rclone"))
    command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{server.port}", "--auth-key", keys]
    with _running([*command, "--config", os.devnull, str(folder)], folder, server, dict(os.environ)):
        yield server


@contextmanager
def _running(command: list[str], folder: Path, server: S3Server, environment: dict[str, str]) -> Generator[None]:
    with (folder.parent / f"{server.kind}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            _wait_until_it_answers(server, process)
            yield
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_it_answers(server: S3Server, process: "subprocess.Popen[bytes]") -> None:
    pool, deadline = urllib3.PoolManager(retries=False), time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ChildProcessError(f"{server.kind} ended with {process.returncode}")
        try:
            pool.request("GET", f"http://127.0.0.1:{server.port}/", timeout=1)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"{server.kind} did not answer within 30 s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
