"""One model process as its parent sees it: started, asked within a time, ended, and every way to end put into words.

`ward` is the caller. Whatever comes back was said by a process that holds a stranger's numbers: it is checked like them.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final, Self

from mill_kit.confinement.frames import FrameCut, FrameLate, receive, send

PROGRAM: Final = (sys.executable, "-I", "-m", "mill_serving.isolation.child")
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_ENDING_SECONDS = 5.0
_STATUSES: Final = {
    2: "it took more memory than it may",
    3: "it met an error of its own",
}
_NOT_CONFINED = 4


class ProcessEnded(Exception):  # noqa: N818 - it says what happened
    """It died, hung or spoke nonsense, and is gone."""


class NotConfined(ProcessEnded):
    """It could not lock itself in on this machine, so it answers nobody; the model is not to blame."""


class ModelProcess:
    """Asked by one thread at a time; `kill` is for any."""

    def __init__(self, process: "subprocess.Popen[bytes]", line: socket.socket) -> None:
        self._process = process
        self._line = line

    @classmethod
    def start(cls, package: int, kind: str, memory_bytes: int, program: Sequence[str] = PROGRAM) -> Self:
        """In a group of its own, with an empty environment but for one thread each. Call `await_ready` next. Raises `OSError`.

        `package` is a descriptor of the open file; it stays the caller's.
        """
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                [*program, kind, str(package), str(memory_bytes)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                pass_fds=(package,),
                env=dict.fromkeys(_ONE_THREAD, "1"),
                cwd="/",
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(process, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def await_ready(self, seconds: float) -> str | None:
        """None, or why it refuses the package. Raises `ProcessEnded`."""
        head, _ = self._hear(time.monotonic() + seconds, "it did not start")
        if head.get("ready") is True:
            return None
        return str(head.get("refused", "it said nothing sensible"))[:1000]

    def ask(self, head: dict[str, Any], body: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Its answer. Raises `ProcessEnded`."""
        deadline = time.monotonic() + seconds
        late = "it did not answer"
        try:
            send(self._line.fileno(), head, body, deadline)
        except FrameLate as error:
            self.kill()
            raise ProcessEnded(f"{late} within {seconds:g} s") from error
        except OSError as error:
            raise self._ended() from error
        return self._hear(deadline, late, seconds)

    def kill(self) -> None:
        """At once, with its group. It is not waited for."""
        for end, number in ((os.killpg, self._process.pid), (os.kill, self._process.pid)):
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    end(number, signal.SIGKILL)

    def bury(self) -> None:
        """Kill it and wait for its end."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_SECONDS)
        self._line.close()

    def ending(self) -> ProcessEnded:
        """How it ended, in words; for one that has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_SECONDS)
        status = self._process.returncode
        if status == _NOT_CONFINED:
            return NotConfined("this machine offers no seccomp to lock it in with")
        if status is None:
            return ProcessEnded("it closed its line")
        if status < 0:
            return ProcessEnded(f"it was ended by {_name(-status)}")
        return ProcessEnded(_STATUSES.get(status, f"it ended with status {status}"))

    def _hear(self, deadline: float, late: str, seconds: float | None = None) -> tuple[dict[str, Any], bytes]:
        try:
            return receive(self._line.fileno(), deadline)
        except FrameLate as error:
            self.kill()
            raise ProcessEnded(late if seconds is None else f"{late} within {seconds:g} s") from error
        except (FrameCut, OSError) as error:
            raise self._ended() from error

    def _ended(self) -> ProcessEnded:
        """It closed its line, or broke the language: there is nothing more to hear from it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        if self.is_alive:
            self.kill()
            return ProcessEnded("it said something that makes no sense")
        return self.ending()


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
