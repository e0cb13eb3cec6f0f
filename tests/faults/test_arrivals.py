"""The open load leaves on time whatever the server does, and counts every answer."""

import asyncio

import pytest

from tests.faults.arrivals import keep_asking, offer

REQUEST = b"GET / HTTP/1.1\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
RUDE = b"HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n"


async def serve(answers: list[bytes], pause: float = 0.0) -> tuple[asyncio.Server, tuple[str, int]]:
    """Gives the answers in turn to whoever asks, each after a pause."""
    count = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                count += 1
                number = count
                await asyncio.sleep(pause)
                writer.write(answers[number % len(answers)])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()


async def test_every_answer_is_counted_as_what_it_was() -> None:
    server, address = await serve([GOOD, BUSY, RUDE])
    async with server:
        found = await offer(address, REQUEST, rate=300, seconds=0.5, connections=4)
    assert found.offered == pytest.approx(150, abs=2)
    assert found.statuses.total() == found.offered
    assert found.accepted == len(found.took) == pytest.approx(50, abs=2)
    assert (len(found.refusals), found.without_return) == (
        found.statuses["503"] + found.statuses["429"],
        found.statuses["429"],
    )


async def test_a_slow_server_is_timed_from_when_its_requests_were_due() -> None:
    """One connection and 50 ms an answer: of 40 requests a second the last waits for all those before it."""
    server, address = await serve([GOOD], pause=0.05)
    async with server:
        found = await offer(address, REQUEST, rate=40, seconds=0.5, connections=1)
    assert found.statuses["200"] == found.offered == pytest.approx(20, abs=1)
    assert max(found.took) > 0.4
    assert sorted(found.answered)[len(found.answered) // 2] < 0.3


async def test_a_closed_loop_asks_again_when_it_is_answered() -> None:
    server, address = await serve([GOOD], pause=0.01)
    async with server:
        found = await keep_asking(address, REQUEST, seconds=0.5, connections=3)
    assert 3 < found.accepted <= 3 * 51
    assert found.statuses.total() == found.offered
