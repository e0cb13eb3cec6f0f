"""A hint is sent quickly or not at all, and whoever sends never learns of it the hard way."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import Iterator

import pytest
from mill_api.queue import Sender
from mill_contracts.ids import new_id
from mill_local.valkey import ValkeyServer
from redis import Redis


@pytest.fixture
def sender(valkey_url: str) -> Iterator[Sender]:
    made = Sender.connect(valkey_url)
    yield made
    made.close()


async def test_a_message_is_a_job_id_and_nothing_more(sender: Sender, valkey_url: str) -> None:
    job = new_id()
    await sender.wake("ml", job)
    broker: Redis = Redis.from_url(valkey_url)  # pyright: ignore[reportUnknownMemberType]
    message = json.loads(broker.lpop("ml"))  # pyright: ignore[reportArgumentType]
    broker.close()
    assert message["content-type"] == "application/json"
    assert message["headers"]["task"] == "mill.wake"
    assert json.loads(base64.b64decode(message["body"]))[:2] == [[str(job)], {}]
    assert (sender.counts.sent, sender.counts.failed) == (1, 0)


async def test_many_hints_are_sent_at_once(sender: Sender) -> None:
    await asyncio.gather(*(sender.wake("data", new_id()) for _ in range(100)))
    assert sender.counts.sent == 100


async def test_the_broker_tells_what_lies_in_it(sender: Sender, valkey_url: str) -> None:
    for _ in range(3):
        await sender.wake("ml", new_id())
    broker: Redis = Redis.from_url(valkey_url)  # pyright: ignore[reportUnknownMemberType]
    broker.hset("unacked", "tag", "a message that was taken")
    broker.close()
    lengths = await sender.lengths(["ml", "data"])
    assert lengths is not None
    assert (lengths.waiting, lengths.unacked) == ({"ml": 3, "data": 0}, 1)


@pytest.mark.parametrize("broker", ["silent", "absent"])
async def test_a_broker_that_does_not_answer_costs_a_second_and_raises_nothing(broker: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if broker == "absent":
            listener.close()
        sender = Sender.connect(f"redis://:secret@127.0.0.1:{port}/0")
        begun = time.monotonic()
        await sender.wake("ml", new_id())
        assert await sender.lengths(["ml"]) is None
        assert time.monotonic() - begun < 3
        assert (sender.counts.sent, sender.counts.failed) == (0, 1)
        sender.close()


async def test_the_event_loop_goes_on_while_a_send_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = Sender.connect(f"redis://:secret@127.0.0.1:{listener.getsockname()[1]}/0")
        sending = asyncio.create_task(sender.wake("ml", new_id()))
        turns = 0
        while not sending.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 100
        sender.close()


async def test_a_broker_that_was_away_is_used_again_when_it_is_back() -> None:
    with ValkeyServer.temporary() as broker:
        sender = Sender.connect(broker.url)
        await sender.wake("ml", new_id())
        await asyncio.to_thread(broker.kill)
        await sender.wake("ml", new_id())
        await asyncio.to_thread(broker.start)
        await sender.wake("ml", new_id())
        await sender.wake("ml", new_id())
        assert sender.counts.failed >= 1
        assert sender.counts.sent >= 2
        sender.close()
