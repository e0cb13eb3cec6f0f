"""`python -m mill_api`: the verbs as an operator runs them, each in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from mill_api.app import openapi_document
from mill_api.testing import settings_for
from mill_local.testing import DatabaseMaker
from mill_local.valkey import ValkeyServer

HEAVY = ("fastapi", "celery", "redis", "uvicorn", "httpx", "minio")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mill_api", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def serving(**environment: str) -> Generator[tuple[str, "subprocess.Popen[bytes]"]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "mill_api", "serve", "--port", str(port)],
        env={"PATH": os.environ["PATH"], **environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def wait_ready(url: str, process: "subprocess.Popen[bytes]", seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"not ready; exit code {process.poll()}")


@pytest.mark.slow
def test_migrate_then_serve_then_stop_on_a_signal(
    fresh_database: DatabaseMaker, valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    made = fresh_database()
    settings_for(tmp_path, app_url=made.app_url, system_url=made.system_url, redis_url=valkey_server.url)
    migrated = run("migrate", MILL_DATABASE__OWNER_URL=made.owner_url)
    assert migrated.returncode == 0, migrated.stderr
    environment = {
        "MILL_ENVIRONMENT": "test",
        "MILL_DATABASE__URL": made.app_url,
        "MILL_DATABASE__SYSTEM_URL": made.system_url,
        "MILL_BROKER__URL": valkey_server.url,
        "MILL_CACHE__URL": valkey_server.url,
        "MILL_STORE__URL": f"file://{tmp_path / 'objects'}",
        "MILL_TOKENS__PRIVATE_KEY_FILE": str(tmp_path / "tokens.pem"),
        "MILL_PUBLISH__PRIVATE_KEY_FILE": str(tmp_path / "publish.pem"),
        "MILL_SERVING__URL": "http://127.0.0.1:9",
    }
    with serving(**environment) as (url, process):
        wait_ready(url, process)
        answer = httpx.get(f"{url}/api/v1/auth/me/")
        assert answer.status_code == 401
        assert "server" not in answer.headers
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) in (0, -signal.SIGTERM)


def test_serve_names_what_is_missing_and_shows_no_secret() -> None:
    refused = run("serve", MILL_DATABASE__URL="postgresql://mill_app:hunter2hunter2@127.0.0.1:9/x")
    assert refused.returncode != 0
    assert "broker" in refused.stderr
    assert "hunter2" not in refused.stderr


def test_the_openapi_document_needs_no_settings() -> None:
    printed = run("openapi")
    assert printed.returncode == 0, printed.stderr
    assert json.loads(printed.stdout) == openapi_document()


def test_a_migration_loads_neither_the_web_server_nor_the_queue() -> None:
    script = (
        "import sys, mill_api.__main__, mill_api.db.schema, mill_api.settings;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
