"""The workers of one replica among themselves: what one of them is told to load or to unload, all of them do before it answers.

The engine orders; each worker hears orders on a socket in the private folder of their counts. A worker that is just being replaced
is left out: it begins as the snapshot says.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from mill_kit.logs import get_logger
from mill_kit.problems import Problem

from mill_serving.errors import ModelUnavailable
from mill_serving.workers import Seat

_LONGEST_LINE = 1 << 14
_LOAD_SECONDS = 300.0
_UNLOAD_SECONDS = 10.0


class Order(msgspec.Struct, frozen=True):
    """`crashed` tells that the process of a model from outside did, and why, so that all of the replica count alike."""

    verb: Literal["load", "unload", "crashed"]
    version_id: str
    reason: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """`reason`: why it could not be done."""

    reason: str | None = None


async def _nobody_obeys(_order: Order) -> None:
    raise ModelUnavailable("the worker is starting")


@dataclass
class Colleagues:
    """`obey` carries out an order here; it raises a `Problem` where it cannot."""

    seat: Seat
    obey: Callable[[Order], Awaitable[None]] = _nobody_obeys

    async def tell(self, order: Order) -> None:
        """All others do it. Raises `ModelUnavailable` where one of them could not."""
        others = [number for number in range(self.seat.count) if number != self.seat.number]
        outcomes = await asyncio.gather(*(self._ask(number, order) for number in others))
        reasons = [outcome.reason for outcome in outcomes if outcome.reason is not None]
        if reasons:
            raise ModelUnavailable(reasons[0])

    async def run(self) -> None:
        """For ever: hear what the others order."""
        with _short(self.seat.folder, self.seat.number) as path:
            path.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(self._hear, path, limit=_LONGEST_LINE)
            async with server:
                await server.serve_forever()

    async def _ask(self, number: int, order: Order) -> Outcome:
        seconds = _LOAD_SECONDS if order.verb == "load" else _UNLOAD_SECONDS
        try:
            async with asyncio.timeout(seconds):
                with _short(self.seat.folder, number) as path:
                    reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_LINE)
                with contextlib.closing(writer):
                    writer.write(msgspec.json.encode(order) + b"\n")
                    line = await reader.readline()
        except TimeoutError:
            return Outcome(f"worker {number} did not {order.verb} it within {seconds:g} s")
        except OSError:
            return Outcome()  # it is gone, with all it had loaded
        return msgspec.json.decode(line, type=Outcome) if line else Outcome()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            outcome = Outcome()
            try:
                await self.obey(order_of(await reader.readline()))
            except Problem as problem:
                outcome = Outcome(problem.detail)
            except ValueError as error:
                get_logger().warning("order_not_understood", reason=str(error))
                return
            writer.write(msgspec.json.encode(outcome) + b"\n")
            with contextlib.suppress(ConnectionError):
                await writer.drain()


def order_of(line: bytes) -> Order:
    """Raises `ValueError` for what is none."""
    try:
        return msgspec.json.decode(line, type=Order)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


@contextlib.contextmanager
def _short(folder: Path, number: int) -> Generator[Path]:
    """The socket of a worker by a path that always fits into an address, however deep the folder lies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{descriptor}/{number}.sock")
    finally:
        os.close(descriptor)
