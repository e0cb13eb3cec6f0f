"""Finding, starting in the background and stopping a stack from another process: what the commands and the demo call."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from mill_local.errors import PartFailed, StackDown, StackRuns
from mill_local.home import Home, StackState, read_state
from mill_local.process import wait_until_gone

START_SECONDS = 180.0
STOP_SECONDS = 90.0
POLL_SECONDS = 0.1


def running(home: Home) -> StackState:
    state = read_state(home)
    if state is None:
        raise StackDown(f"no stack runs in {home.root}: `modelmill up` starts it")
    return state


def start_detached(home: Home, options: Sequence[str]) -> StackState:
    """Start the supervisor in a session of its own; returns when every part is ready. `options` are those of `modelmill up`."""
    if read_state(home) is not None:
        raise StackRuns(f"a stack runs in {home.root} already")
    home.folder("logs")
    log_file = home.log("supervisor")
    command = [sys.executable, "-m", "mill_local", "up", "--home", str(home.root), *options]
    with log_file.open("ab") as log:
        begin = log.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        state = read_state(home)
        if state is not None and state.state == "ready":
            return state
        time.sleep(POLL_SECONDS)
    process.terminate()
    process.wait(STOP_SECONDS)
    with log_file.open("rb") as log:
        log.seek(begin)
        raise PartFailed(f"the stack did not start:\n{log.read().decode(errors='replace').strip()}")


def stop(home: Home) -> StackState:
    """Ask the supervisor to stop everything in order; its children cannot outlive it even when it has to be killed."""
    state = running(home)
    os.kill(state.pid, signal.SIGTERM)
    if not wait_until_gone(state.pid, state.started, STOP_SECONDS):
        os.kill(state.pid, signal.SIGKILL)
        wait_until_gone(state.pid, state.started, 10.0)
    return state
