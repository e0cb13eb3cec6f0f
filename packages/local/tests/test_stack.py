"""The whole embedded stack through its commands: up, status, logs, down, and up again with the data kept."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mill_local.home import Home, read_state
from mill_local.ports import free_port

pytestmark = pytest.mark.slow
PARTS = {"postgres", "broker", "cache", "api-server", "ml-service", "worker-ml", "worker-data"}


def mill(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mill_local", words[0], "--home", str(home), *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - a loopback address of this test
        return json.load(answer)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / ".modelmill"
    yield folder
    if read_state(Home(folder)) is not None:
        mill(folder, "down")


def up(home: Path) -> dict[str, Any]:
    ports = ("--api-port", str(free_port()), "--serving-port", str(free_port()))
    done = mill(home, "up", "--detach", "--json", *ports)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(300)
def test_the_stack_comes_up_answers_stops_and_comes_up_again_with_its_data(home: Path) -> None:
    state = up(home)
    assert {part["name"] for part in state["parts"]} == PARTS
    assert get(f"{state['api_url']}/health/ready")
    assert get(f"{state['serving_url']}/health/ready")
    status = mill(home, "status", "--json")
    assert status.returncode == 0
    assert json.loads(status.stdout)["pid"] == state["pid"]
    refused = mill(home, "up", "--detach")
    assert refused.returncode == 1
    assert "already" in refused.stderr
    assert "api-server: " in mill(home, "logs").stdout

    kept = {path: path.read_text() for path in (home / "secrets").iterdir()}
    assert mill(home, "down").returncode == 0
    assert mill(home, "status").returncode == 3
    assert mill(home, "down").returncode == 1

    up(home)
    assert {path: path.read_text() for path in (home / "secrets").iterdir()} == kept
    assert mill(home, "down").returncode == 0


@pytest.mark.timeout(300)
def test_no_secret_is_readable_by_others_or_shown_in_a_command_line(home: Path) -> None:
    state = up(home)
    secrets = [path for path in home.rglob("secrets/*") if path.is_file()]
    assert len(secrets) >= 10
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets)
    words = [path.read_text().strip() for path in secrets if path.suffix != ".pem"]
    for part in state["parts"]:
        shown = Path(f"/proc/{part['pid']}/cmdline").read_bytes().decode()
        assert not any(word in shown for word in words)
    assert not any(word in (home / "stack.json").read_text() for word in words)
    for log in (home / "logs").glob("*.log"):
        assert not any(word in log.read_text() for word in words), f"{log.name} holds a password"
    mill(home, "down")


def test_a_stack_that_cannot_start_says_why_and_leaves_nothing_running(home: Path) -> None:
    home.mkdir()
    (home / "postgres").write_text("in the way")
    failed = mill(home, "up", "--detach")
    assert failed.returncode == 1
    assert "postgres" in failed.stdout + failed.stderr
    assert mill(home, "status").returncode == 3
