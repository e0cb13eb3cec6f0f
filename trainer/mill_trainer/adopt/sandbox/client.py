"""The trainer's side of the sandbox: starts the server, asks, and turns every way to end into words.

Whatever comes back was said by a process that has read hostile bytes: it is checked like them.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from mill_contracts.adoption import ModelFramework
from mill_kit.confinement.frames import FrameCut, FrameLate, receive, send
from mill_kit.problems import Problem

_STARTING_SECONDS = 120.0
_SPARE_SECONDS = 10.0
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class SandboxFailed(Problem):
    """The sandbox could not be started here; models from outside need Linux with seccomp."""

    status = 503
    slug = "sandbox-unavailable"
    title = "No sandbox for model files"


@dataclass(frozen=True)
class Reply:
    """`said` is the child's own answer; without one, `reason` says how it ended."""

    said: dict[str, Any] | None
    body: bytes
    reason: str | None


class Sandbox:
    """One server process for one framework; use it as a context manager."""

    def __init__(self, framework: ModelFramework, *, memory_bytes: int, seconds: float) -> None:
        self._memory_bytes = memory_bytes
        self._seconds = seconds
        self._process = _start(framework)

    def __enter__(self) -> Self:
        try:
            head, _ = receive(self._answers, time.monotonic() + _STARTING_SECONDS)
        except (FrameCut, FrameLate) as error:
            self.close()
            raise SandboxFailed("The sandbox did not come up; the job's log says why") from error
        if head != {"ready": True}:
            raise SandboxFailed("The sandbox did not come up as it should")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the server, which no child can reach, still stands."""
        return self._process.poll() is None

    def ask(self, verb: str, body: bytes) -> Reply:
        """One file in a child of its own. Raises `SandboxFailed` when the server itself is gone."""
        return next(self.ask_all(verb, [body]))

    def ask_all(self, verb: str, bodies: Sequence[bytes]) -> Iterator[Reply]:
        """Several files, one after the other in one child as long as it lives. Take all replies before asking again."""
        sizes = [len(body) for body in bodies]
        head = {"verb": verb, "memory_bytes": self._memory_bytes, "seconds": self._seconds, "sizes": sizes}
        assert self._process.stdin is not None  # noqa: S101 - asked for with PIPE
        try:
            send(self._process.stdin.fileno(), head, b"".join(bodies))
            for size in sizes:
                deadline = time.monotonic() + self._seconds + _SPARE_SECONDS + size / 2**22
                answer, payload = receive(self._answers, deadline)
                said: dict[str, Any] | None = answer.get("said")
                yield Reply(said, payload, None if said else _reason(answer.get("ending") or {}, self._seconds))
        except (FrameCut, FrameLate, OSError) as error:
            raise SandboxFailed("The sandbox's server is gone") from error

    def close(self) -> None:
        """End the server and whatever it has."""
        with contextlib.suppress(OSError):
            self._process.stdin and self._process.stdin.close()  # pyright: ignore[reportUnusedExpression]
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    @property
    def _answers(self) -> int:
        assert self._process.stdout is not None  # noqa: S101 - asked for with PIPE
        return self._process.stdout.fileno()


def _start(framework: ModelFramework) -> "subprocess.Popen[bytes]":
    """Isolated from the environment, but for one thread each: a pool of threads does not survive a fork."""
    program = [sys.executable, "-I", "-m", "mill_trainer.adopt.sandbox.server", framework.value]
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", **dict.fromkeys(_ONE_THREAD, "1")}
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0)


def _reason(ending: dict[str, Any], seconds: float) -> str:
    if ending.get("late"):
        return f"reading it took longer than {seconds:g} seconds"
    number = ending.get("signal")
    if isinstance(number, int):
        return f"the process that read it was ended by {_name(number)}"
    if ending.get("status") == 2:
        return "reading it takes more memory than is allowed"
    return f"the process that read it ended with status {ending.get('status')}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
