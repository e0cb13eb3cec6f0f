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


@dataclass
class S3Process:
    """Its process and its folder: what was stored outlives a kill, and a new start has the address and the keys of the first."""

    server: S3Server
    command: list[str]
    environment: dict[str, str]
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def found(cls, folder: Path) -> "S3Process":
        """MinIO where its binary is at hand (`MILL_TEST_MINIO`, or `minio` on the path), else `rclone serve s3`."""
        minio = os.environ.get("MILL_TEST_MINIO") or shutil.which("minio")
        return cls.minio(minio, folder) if minio else cls.rclone(folder)

    @classmethod
    def minio(cls, binary: str, folder: Path) -> "S3Process":
        server = S3Server("minio", _free_port(), secrets.token_hex(8), secrets.token_hex(16))
        command = [binary, "server", "--quiet", "--address", f"127.0.0.1:{server.port}", str(folder)]
        keys = {"MINIO_ROOT_USER": server.access_key, "MINIO_ROOT_PASSWORD": server.secret_key, "MINIO_BROWSER": "off"}
        return cls(server, command, {**os.environ, **keys}, folder)

    @classmethod
    def rclone(cls, folder: Path) -> "S3Process":
        server = S3Server("rclone", _free_port(), secrets.token_hex(8), secrets.token_hex(16))
        keys = f"{server.access_key},{server.secret_key}"
        rclone = str(Path(sys.executable).with_name("rclone"))
        command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{server.port}", "--auth-key", keys]
        return cls(server, [*command, "--config", os.devnull, str(folder)], dict(os.environ), folder)

    def start(self) -> None:
        with (self.folder.parent / f"{self.server.kind}.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.environment)
        _wait_until_it_answers(self.server, self.process)

    def end(self, *, kill: bool = False) -> None:
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(10)
            self.process = None


@contextmanager
def _running(process: S3Process) -> Generator[S3Server]:
    try:
        process.start()
        yield process.server
    finally:
        process.end()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """MinIO or rclone, whichever is found."""
    with _running(S3Process.found(tmp_path_factory.mktemp("s3"))) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with _running(S3Process.rclone(tmp_path_factory.mktemp("rclone"))) as server:
        yield server


@pytest.fixture
def mortal_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Process]:
    """One that a test may end and start again."""
    process = S3Process.found(tmp_path_factory.mktemp("mortal-s3"))
    with _running(process):
        yield process


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
