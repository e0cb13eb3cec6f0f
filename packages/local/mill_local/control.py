"""Finding, starting in the background and stopping a stack from another process: what the commands and the demo call."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

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


def start_detached(home: Home, options: Sequence[str], say: Callable[[str], None]) -> StackState:
    """Start the supervisor in a session of its own; returns when every part is ready. `options` are those of `modelmill up`.

    What the supervisor says on the way is passed on; being interrupted stops it again.
    """
    if read_state(home) is not None:
        raise StackRuns(f"a stack runs in {home.root} already")
    home.folder("logs")
    log_file = home.log("supervisor")
    command = [sys.executable, "-m", "mill_local", "up", "--background", "--home", str(home.root), *options]
    with log_file.open("ab") as log:
        begin = log.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    with log_file.open() as heard:
        heard.seek(begin)
        try:
            state = _listen(home, process, heard, say)
        except BaseException:
            process.terminate()
            process.wait(STOP_SECONDS)
            raise
    threading.Thread(target=process.wait, name="reap the stack", daemon=True).start()
    return state


def _listen(home: Home, process: "subprocess.Popen[bytes]", heard: IO[str], say: Callable[[str], None]) -> StackState:
    """Pass on whole lines until the stack is ready. Raises `PartFailed` when its supervisor ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    said: list[str] = []
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        for line in heard:
            said.append(line.rstrip())
            say(said[-1])
        state = read_state(home)
        if state is not None and state.state == "ready":
            return state
        if ended:
            break
        time.sleep(POLL_SECONDS)
    raise PartFailed("the stack did not start; its last words are above" if said else f"see {heard.name}")


def stop(home: Home) -> StackState:
    """Ask the supervisor to stop everything in order; its children cannot outlive it even when it has to be killed."""
    state = running(home)
    os.kill(state.pid, signal.SIGTERM)
    if not wait_until_gone(state.pid, state.started, STOP_SECONDS):
        os.kill(state.pid, signal.SIGKILL)
        wait_until_gone(state.pid, state.started, 10.0)
    return state
