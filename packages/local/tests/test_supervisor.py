"""One supervisor starts, mends and stops its parts, and leaves nothing behind however it ends.

The servers are real; a small HTTP server stands in for our services, which have journeys of their own in `tests/`.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from mill_local import control
from mill_local.errors import StackDown
from mill_local.home import Home, StackState, read_state
from mill_local.process import started_at, wait_until_gone

STAND_IN = """
import sys
from pathlib import Path
from mill_local.home import Home
from mill_local.parts import ServicePart, ServiceSpec
from mill_local.plan import Plan, StackOptions
from mill_local.process import Program
from mill_local.supervisor import Supervisor

class SmallPlan(Plan):
    def migration(self):
        return self.program("migrate", "-c", "pass")
    def data_plane(self):
        return self.serve("ml-service", self.ports.serving, self.serving_url)
    def control_plane(self):
        return [self.serve("api-server", self.ports.api, self.api_url)]
    def serve(self, name, port, url):
        program = self.program(name, "-m", "http.server", "--bind", "127.0.0.1", str(port))
        return ServicePart(ServiceSpec(program, port, url + "/"))
    def program(self, name, *words):
        return Program(name, [sys.executable, *words], self.home.log(name), self._base_environment(), cwd=self.home.root)

def say(line):
    print(line, flush=True)

home = Home(Path(sys.argv[1]))
Supervisor(home, StackOptions(api_port=int(sys.argv[2])), say, SmallPlan.make).run()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / ".modelmill")


class Start(Protocol):
    def __call__(self, port: int = 18000) -> "subprocess.Popen[bytes]": ...


@pytest.fixture
def start(home: Home, tmp_path: Path) -> Iterator[Start]:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    started: list[subprocess.Popen[bytes]] = []

    def run(port: int = 18000) -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(script), str(home.root), str(port)]
        with said(home).open("a") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def said(home: Home) -> Path:
    return home.root.with_name("said.txt")


def wait_for(home: Home, condition: Callable[[StackState], bool]) -> StackState:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        state = read_state(home)
        if state is not None and condition(state):
            return state
        time.sleep(0.05)
    raise AssertionError(f"the stack never got there: {read_state(home)}")


def is_ready(state: StackState) -> bool:
    return state.state == "ready" and all(part.state == "running" for part in state.parts)


def test_a_part_that_dies_is_started_again(home: Home, start: Start) -> None:
    start()
    before = {part.name: part for part in wait_for(home, is_ready).parts}
    assert set(before) == {"postgres", "broker", "cache", "ml-service", "api-server"}
    for part in before.values():
        assert part.pid is not None
        os.kill(part.pid, signal.SIGKILL)
    after = wait_for(home, lambda state: is_ready(state) and all(part.restarts == 1 for part in state.parts))
    assert {part.name: part.port for part in after.parts} == {name: part.port for name, part in before.items()}
    control.stop(home)


def test_stopping_leaves_no_process_and_no_state_and_keeps_the_data(home: Home, start: Start) -> None:
    start()
    parts = wait_for(home, is_ready).parts
    starts = {part.pid: started_at(part.pid) for part in parts if part.pid is not None}
    control.stop(home)
    assert all(started_at(pid) != begun for pid, begun in starts.items())
    assert not home.state_file.exists()
    assert (home.root / "postgres" / "data" / "PG_VERSION").is_file()
    start()
    wait_for(home, is_ready)
    control.stop(home)


def test_a_supervisor_that_is_killed_takes_all_its_children_with_it_and_the_next_one_starts(
    home: Home, start: Start
) -> None:
    supervisor = start()
    parts = wait_for(home, is_ready).parts
    starts = {part.pid: started_at(part.pid) for part in parts if part.pid is not None}
    supervisor.kill()
    supervisor.wait()
    for pid, begun in starts.items():
        assert begun is None or wait_until_gone(pid, begun, 15)
    assert read_state(home) is None, "a state whose supervisor is gone is no state"
    start()
    wait_for(home, is_ready)
    control.stop(home)


def test_a_second_supervisor_is_refused_and_the_first_unharmed(home: Home, start: Start) -> None:
    start()
    first = wait_for(home, is_ready)
    second = start()
    assert second.wait(20) != 0
    assert "StackRuns" in said(home).read_text()
    assert read_state(home) == first
    control.stop(home)


def test_a_state_file_naming_a_living_stranger_is_not_believed(home: Home) -> None:
    StackState(os.getpid(), "some other time", "ready", "http://x", "http://y").save(home)
    assert read_state(home) is None
    with pytest.raises(StackDown):
        control.stop(home)


def test_a_taken_port_is_said_aloud_and_another_one_used(home: Home, start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(port)
        state = wait_for(home, is_ready)
        control.stop(home)
    process.wait(20)
    assert f"port {port} is taken: api-server listens on" in said(home).read_text()
    assert not state.api_url.endswith(f":{port}")
