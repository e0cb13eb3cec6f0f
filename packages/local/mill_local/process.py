"""One supervised child process. Used by the Postgres and Valkey servers and by the stack's supervisor.

A child lives in a session of its own (Ctrl-C reaches only the supervisor, which stops its children in order), writes to a log
file, and gets a signal from the kernel when the *thread* that started it ends: start children from a thread that outlives them.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mill_local.files import private_folder

LAUNCHER = Path(__file__).with_name("launch.py")
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Account:
    """The user and group a child runs as; only root can hand one out."""

    uid: int = -1
    gid: int = -1


@dataclass(frozen=True)
class Program:
    """What to run, and how. `environment` is complete; nothing is inherited beside it."""

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    cwd: Path = Path("/")
    account: Account = field(default_factory=Account)
    death_signal: signal.Signals = signal.SIGTERM


class Child:
    """A running program."""

    def __init__(self, program: Program, process: "subprocess.Popen[bytes]") -> None:
        self.program = program
        self._process = process

    @classmethod
    def start(cls, program: Program, *, keep_open: Sequence[int] = ()) -> "Child":
        private_folder(program.log.parent)
        launcher = [
            *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(program.death_signal))),
            *(str(program.account.uid), str(program.account.gid), str(program.cwd)),
        ]
        with program.log.open("ab") as log:
            process = subprocess.Popen(
                [*launcher, *program.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(program.environment),
                start_new_session=True,
                pass_fds=keep_open,
            )
        return cls(program, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def is_running(self) -> bool:
        return self.exit_code() is None

    def send(self, which: signal.Signals) -> None:
        if self.is_running():
            self._process.send_signal(which)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended within `seconds`."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal in turn, wait as long as it says; in the end nothing of its group is left."""
        for which, seconds in steps:
            self.send(which)
            if self.wait(seconds):
                break
        self.kill()

    def kill(self) -> None:
        """End it and whatever is left in its session at once, as a crash would."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def log_tail(self, lines: int = 12, width: int = 800) -> str:
        """The last lines, of each its end: a traceback in a JSON line says what matters last."""
        if not self.program.log.is_file():
            return ""
        return "\n".join(line[-width:] for line in self.program.log.read_text(errors="replace").splitlines()[-lines:])


def started_at(pid: int) -> str | None:
    """What tells a process from a later one with the same number: its start time. None when there is no such process."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _started_at_by_ps(pid) if not Path("/proc/self/stat").exists() else None
    return None if words[0] in "ZX" else words[19]


def _started_at_by_ps(pid: int) -> str | None:
    answer = subprocess.run(["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def plain_environment(**extra: str) -> dict[str, str]:
    """A small environment for programs that are not ours: nothing of the caller's (no PG* or proxy variable) leaks in."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", **extra}


def wait_until_gone(pid: int, start: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while started_at(pid) == start:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
