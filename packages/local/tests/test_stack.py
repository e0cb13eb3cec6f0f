"""The whole embedded stack through its commands: up, status, logs, down, and up again with the data kept."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Generator, Iterator
from contextlib import contextmanager
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


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The home and the state of a stack that runs."""
    folder = tmp_path_factory.mktemp("stack") / ".modelmill"
    state = up(folder)
    yield folder, state
    mill(folder, "down")


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
def test_no_secret_is_readable_by_others_or_shown_in_a_command_line(stack: tuple[Path, dict[str, Any]]) -> None:
    home, state = stack
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


@pytest.mark.timeout(300)
def test_flower_asks_for_its_password_and_shows_the_workers(stack: tuple[Path, dict[str, Any]]) -> None:
    home, _ = stack
    command = [sys.executable, "-m", "mill_local", "flower", "--home", str(home), "--port", str(free_port())]
    with heeding_interrupts(), subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as console:
        try:
            assert console.stdout is not None
            said = dict(line.split() for line in (console.stdout.readline() for _ in range(3)))
            shown = Path(f"/proc/{console.pid}/cmdline").read_bytes().decode()
            refused = status_of(said["Flower"])
            wrong = status_of(said["Flower"], "admin", "guess")
            workers = wait_for_workers(f"{said['Flower']}/workers?json=1", said["User"], said["Password"])
            console.send_signal(signal.SIGINT)
            console.wait(60)
        finally:
            console.kill()
    assert (refused, wrong) == (401, 401)
    assert {name.split("@")[0] for name in workers} == {"worker-ml", "worker-data"}
    assert said["Password"] not in shown
    with pytest.raises(OSError, match="refused"):
        status_of(said["Flower"])


def test_without_a_stack_there_is_nothing_to_watch(home: Path) -> None:
    refused = mill(home, "flower")
    assert refused.returncode == 1
    assert "modelmill up" in refused.stderr


@contextmanager
def heeding_interrupts() -> Generator[None]:
    """Tests that run in the background of a shell ignore SIGINT, and so would whatever they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def opener(user: str, password: str) -> urllib.request.OpenerDirector:
    credentials = b64encode(f"{user}:{password}".encode()).decode()
    made = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    made.addheaders = [("Authorization", f"Basic {credentials}")] if user else []
    return made


def status_of(url: str, user: str = "", password: str = "") -> int:
    try:
        with opener(user, password).open(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code


def wait_for_workers(url: str, user: str, password: str) -> list[str]:
    """The names of the workers, once Flower has heard of both."""
    deadline, names = time.monotonic() + 60, list[str]()
    while len(names) < 2 and time.monotonic() < deadline:
        with opener(user, password).open(url, timeout=10) as answer:
            names = [worker["hostname"] for worker in json.load(answer)["data"]]
        time.sleep(0.2)
    return names


def test_a_stack_that_cannot_start_says_why_and_leaves_nothing_running(home: Path) -> None:
    home.mkdir()
    (home / "postgres").write_text("in the way")
    failed = mill(home, "up", "--detach")
    assert failed.returncode == 1
    assert "postgres" in failed.stdout + failed.stderr
    assert mill(home, "status").returncode == 3
