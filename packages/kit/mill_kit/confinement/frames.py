"""How processes speak through pipes and sockets: two lengths, a small JSON head, a body of bytes. Nothing is unpickled.

With a deadline either side may hang for ever and the other goes on; the descriptor must not block then (`os.set_blocking`).
"""

import json
import os
import select
import struct
import time
from typing import Any, Final, cast

LENGTHS: Final = struct.Struct(">IQ")
MAX_HEAD: Final = 64 * 2**20
MAX_BODY: Final = 2**31


class FrameCut(Exception):  # noqa: N818 - it says what happened to the frame
    """The other side went away before the frame was whole, or sent something that is none."""


class FrameLate(Exception):  # noqa: N818 - as above
    """The frame was not whole in time."""


def send(descriptor: int, head: dict[str, Any], body: bytes | memoryview = b"", deadline: float | None = None) -> None:
    """Write one frame. `FrameLate` at the deadline (of the monotonic clock); `OSError` where nobody reads."""
    text = json.dumps(head, separators=(",", ":")).encode()
    for part in (LENGTHS.pack(len(text), len(body)) + text, body):
        view = memoryview(part)
        while view:
            if deadline is not None:
                _wait(descriptor, select.POLLOUT, deadline)
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:
                continue


def receive(descriptor: int, deadline: float | None = None) -> tuple[dict[str, Any], bytes]:
    """One frame. Raises `FrameCut`, and `FrameLate` at the deadline (of the monotonic clock)."""
    head_size, body_size = LENGTHS.unpack(_exactly(descriptor, LENGTHS.size, deadline))
    if head_size > MAX_HEAD or body_size > MAX_BODY:
        raise FrameCut("a frame of absurd size")
    text = _exactly(descriptor, head_size, deadline)
    body = _exactly(descriptor, body_size, deadline)
    try:
        head: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameCut("a frame whose head is not JSON") from error
    if not isinstance(head, dict):
        raise FrameCut("a frame whose head is no object")
    return cast("dict[str, Any]", head), body


def _exactly(descriptor: int, size: int, deadline: float | None) -> bytes:
    parts: list[bytes] = []
    left = size
    while left:
        if deadline is not None:
            _wait(descriptor, select.POLLIN, deadline)
        try:
            part = os.read(descriptor, min(left, 1 << 20))
        except BlockingIOError:
            continue
        except ConnectionResetError:
            part = b""
        if not part:
            raise FrameCut("the other side went away")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _wait(descriptor: int, event: int, deadline: float) -> None:
    """Not `select.select`, which knows no descriptor above 1023. Raises `FrameLate`."""
    wait = deadline - time.monotonic()
    poll = select.poll()
    poll.register(descriptor, event)
    if wait <= 0 or not poll.poll(max(1, int(wait * 1000))):
        raise FrameLate
