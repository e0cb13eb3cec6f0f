"""Starts the runner and hears the trainer: wire messages, output lines, the end. Called by `worker.attempt`.

Cancelling the coroutine ends the child: SIGTERM, a short grace, SIGKILL, always to its whole session.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mill_contracts.wire import LogLine, Message, Outcome, Progress, Stage, messages
from pydantic import ValidationError

_RUNNER = Path(__file__).with_name("runner.py")
_LONGEST_LINE = 4 * 2**20
_LAST_WORDS = 2.0


@dataclass(frozen=True)
class Command:
    """`argv` without `--report-fd N`, which is added. Times in seconds; `memory_bytes` 0 is unlimited."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    memory_bytes: int
    timeout: float
    grace: float


@dataclass(frozen=True)
class Ending:
    """How the child went. Without an `outcome`, or with a status other than 0, it crashed."""

    outcome: Outcome | None = None
    returncode: int | None = None
    memory_exceeded: bool = False
    timed_out: bool = False
    error: str | None = None

    @property
    def reason(self) -> str:
        """Of a crash, in words: the signal by name, or the exit status."""
        if self.error is not None:
            return f"could not be started: {self.error}"
        if self.returncode is None:
            return "vanished"
        if self.returncode < 0:
            return f"was killed by {_name(-self.returncode)}"
        return f"ended with status {self.returncode}" + ("" if self.outcome else " and without an outcome")


@dataclass(frozen=True)
class Ears:
    """Who hears what the child says while it runs."""

    on_message: Callable[[Stage | Progress | LogLine], None]
    on_output: Callable[[str], None]


async def run_child(command: Command, ears: Ears) -> Ending:
    """Start, hear, wait. Returns however the child ends; raises `CancelledError` when cancelled, with the child gone."""
    async with _started(command) as child:
        try:
            await asyncio.wait_for(asyncio.shield(child.hear(ears)), command.timeout)
        except TimeoutError:
            await child.stop(command.grace)
            return Ending(timed_out=True)
        except asyncio.CancelledError:
            await asyncio.shield(child.stop(command.grace))
            raise
        return child.ending()


@dataclass(frozen=True)
class _Streams:
    """From the runner, from the trainer's report descriptor, from its standard output; orders go through `orders`."""

    answers: asyncio.StreamReader
    orders: asyncio.StreamWriter
    report: asyncio.StreamReader
    output: asyncio.StreamReader


class _Child:
    """A runner and its trainer, as long as they live."""

    def __init__(self, streams: _Streams) -> None:
        self._streams = streams
        self._hearing: asyncio.Task[None] | None = None
        self._said: dict[str, Any] = {}
        self._outcome: Outcome | None = None

    def hear(self, ears: Ears) -> "asyncio.Task[None]":
        """Until the runner has said its last word and the streams are read to their end."""
        self._hearing = asyncio.create_task(self._hear(ears))
        return self._hearing

    async def stop(self, grace: float) -> None:
        """Ask, then kill; wait until the runner has said that all are gone."""
        if self._hearing is None:
            return
        for order, patience in ((b"T", grace), (b"K", _LAST_WORDS)):
            with contextlib.suppress(OSError):
                self._streams.orders.write(order)
            await asyncio.wait([self._hearing], timeout=patience)
            if self._hearing.done():
                break
        self._hearing.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._hearing
        self._kill_orphan()

    def ending(self) -> Ending:
        self._kill_orphan()
        return Ending(
            outcome=self._outcome,
            returncode=self._said.get("returncode"),
            memory_exceeded=bool(self._said.get("memory_exceeded")),
            error=self._said.get("error"),
        )

    def _kill_orphan(self) -> None:
        """The runner went without a last word (killed by hand, or by the kernel): its trainer must go too."""
        pid = self._said.get("pid")
        if isinstance(pid, int) and "returncode" not in self._said:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    async def _hear(self, ears: Ears) -> None:
        streams = [asyncio.create_task(self._hear_report(ears)), asyncio.create_task(self._hear_output(ears))]
        try:
            async for line in _lines(self._streams.answers):
                with contextlib.suppress(ValueError):
                    self._said.update(json.loads(line))
            await asyncio.wait(streams, timeout=_LAST_WORDS)
        finally:
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)

    async def _hear_report(self, ears: Ears) -> None:
        async for line in _lines(self._streams.report):
            message = _parse(line)
            if message is None:
                ears.on_output(f"not a message: {line[:200]!r}")
            elif isinstance(message, Outcome):
                self._outcome = message
            else:
                ears.on_message(message)

    async def _hear_output(self, ears: Ears) -> None:
        async for line in _lines(self._streams.output):
            ears.on_output(line.decode(errors="replace").rstrip())


@asynccontextmanager
async def _started(command: Command) -> AsyncGenerator[_Child]:
    """The runner, started. At the end its socket closes, and the runner leaves with whatever it still has."""
    ours, theirs = socket.socketpair()
    report, report_in = os.pipe()
    try:
        process = await _start(command, theirs.fileno(), report_in)
    except BaseException:
        ours.close()
        os.close(report)
        raise
    finally:
        theirs.close()
        os.close(report_in)
    ours.setblocking(False)
    answers, orders = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
    heard, pipe = await _pipe_reader(report)
    try:
        assert process.stdout is not None  # noqa: S101 - asked for with PIPE
        yield _Child(_Streams(answers, orders, heard, process.stdout))
    finally:
        pipe.close()
        orders.close()
        await asyncio.shield(process.wait())


async def _start(command: Command, control: int, report: int) -> asyncio.subprocess.Process:
    runner = [sys.executable, "-I", "-S", str(_RUNNER), str(control), str(report), str(command.memory_bytes)]
    return await asyncio.create_subprocess_exec(
        *runner,
        *command.argv,
        "--report-fd",
        str(report),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=(control, report),
        env=dict(command.env),
        cwd=command.cwd,
        start_new_session=True,
        limit=_LONGEST_LINE,
    )


async def _pipe_reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader, transport


async def _lines(stream: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    """Each line; one that is too long is left out rather than kept in memory."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        except OSError:
            return
        if not line:
            return
        yield line


def _parse(line: bytes) -> Message | None:
    try:
        return messages.validate_json(line)
    except ValidationError:
        return None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
