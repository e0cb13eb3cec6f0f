"""Stands between worker and trainer, so that no trainer outlives its worker. Standard library only: `python -I -S runner.py`.

The worker holds the other end of a socket. `T` asks the trainer's session to end, `K` kills it, and so does the end of the
socket, which the kernel closes even when the worker is killed with -9. The runner answers with JSON lines: the
trainer's process id, then how it ended. It also watches the resident memory of all its processes.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

_LOOK_EVERY = 0.25
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """`runner.py CONTROL_FD REPORT_FD MEMORY_BYTES COMMAND…`; memory 0 is not limited."""
    control_fd, report_fd, memory = (int(value) for value in arguments[:3])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _be_the_first_to_go()
    control = socket.socket(fileno=control_fd)
    try:
        child = subprocess.Popen(
            arguments[3:],
            stdin=subprocess.DEVNULL,
            pass_fds=[report_fd],
            start_new_session=True,
            preexec_fn=_prepare,
        )
    except OSError as error:
        _say(control, {"error": str(error)})
        return 1
    os.close(report_fd)
    _say(control, {"pid": child.pid})
    exceeded = _watch(control, child, memory)
    _kill_session(child.pid)
    _say(control, {"returncode": child.wait(), "memory_exceeded": exceeded})
    return 0


def _watch(control: socket.socket, child: "subprocess.Popen[bytes]", memory: int) -> bool:
    """Until the child has ended or must. True: it held more than `memory`."""
    wakeup, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    while child.poll() is None:
        ready, _, _ = select.select([control, wakeup], [], [], _LOOK_EVERY)
        if wakeup in ready:
            os.read(wakeup, 512)
        if control in ready:
            order = _hear(control)
            if not order or b"K" in order:
                return False
            _signal_group(child.pid, signal.SIGTERM)
        if memory and _resident(child.pid) > memory:
            return True
    return False


def _hear(control: socket.socket) -> bytes:
    try:
        return control.recv(16)
    except OSError:
        return b""


def _say(control: socket.socket, message: "dict[str, object]") -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        control.sendall(json.dumps(message).encode() + b"\n")


def _be_the_first_to_go() -> None:
    """When the machine runs out of memory, the kernel shall choose the trainer, not the worker or the database."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _prepare() -> None:
    """In the trainer, before it begins: signals as usual, and death with the runner where the kernel offers it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(Exception):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with contextlib.suppress(Exception):
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _kill_session(leader: int) -> None:
    """The group, and whoever of the session made a group of its own."""
    _signal_group(leader, signal.SIGKILL)
    for pid, _ in _session(leader):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _resident(leader: int) -> int:
    """Bytes in memory of the whole session; shared pages count once for each process that maps them."""
    return sum(pages for _, pages in _session(leader)) * os.sysconf("SC_PAGE_SIZE")


def _session(leader: int) -> "list[tuple[int, int]]":
    """(pid, resident pages) of each process in the session; empty where there is no /proc."""
    found: list[tuple[int, int]] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == leader:
                found.append((int(entry.name), int(fields[21])))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
