"""Whole stacks for the tests that go through all parts: the embedded stack in a folder of its own, on free ports."""

import os
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mill_local import control
from mill_local.home import Home, StackState, read_state
from mill_local.ports import free_port
from modelmill import Client

QUICK = {
    "MILL_WORKER__LEASE_SECONDS": "6",
    "MILL_WORKER__HEARTBEAT_SECONDS": "1",
    "MILL_WORKER__SWEEP_SECONDS": "1",
    "MILL_LIMITS__ENABLED": "false",
}
"""Times of the job ledger for tests: what takes 45 s in production takes 7 s here. Tests may ask as often as they like."""


@dataclass(frozen=True)
class Stack:
    """A running embedded stack."""

    home: Home
    api_url: str
    serving_url: str

    def state(self) -> StackState:
        state = read_state(self.home)
        assert state is not None, "the stack is down"
        return state

    def pid(self, part: str) -> int:
        return next(known.pid for known in self.state().parts if known.name == part and known.pid is not None)

    def client(self, username: str = "tester", *, serving: bool = True) -> Client:
        """Signed in as `username`, who registers here; `serving` sends predictions straight to ml-service."""
        password = secrets.token_urlsafe(12)
        with Client(self.api_url) as anyone:
            anyone.auth.register(
                email=f"{username}@example.com", username=username, password=password, full_name=username.title()
            )
        serving_url = self.serving_url if serving else None
        return Client(self.api_url, username=username, password=password, serving_url=serving_url)

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3_000:] for path in sorted(self.home.logs.glob("*.log")))


@contextmanager
def running_stack(folder: Path, environment: dict[str, str]) -> Generator[Stack]:
    """Start it with these `MILL_…` settings, stop it afterwards whatever happened."""
    home = Home(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**QUICK, **environment}.items():
            patch.setenv(name, value)
        options = ["--api-port", str(free_port()), "--serving-port", str(free_port())]
        state = control.start_detached(home, options, lambda line: print(line))  # noqa: T201 - shown when a test fails
    try:
        yield Stack(home, state.api_url, state.serving_url)
    finally:
        control.stop(home)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack on a folder store for all tests that leave it as they found it."""
    with running_stack(tmp_path_factory.mktemp("stack") / "home", {}) as running:
        yield running


def eventually(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until `condition` holds; a test that waits for a state says how long it may take."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.05)


def processes_mentioning(text: str) -> dict[int, str]:
    """The command lines that contain `text`, by process id; zombies have none."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if text in line:
                found[int(folder.name)] = line
    return found
