"""The lane takes so many and refuses the rest at once."""

import asyncio
import threading
from typing import Any

import pytest
from mill_serving.admission import Lane
from mill_serving.errors import Overloaded


async def test_beyond_threads_and_queue_a_call_is_refused_with_a_time_to_retry(until: Any) -> None:
    lane, gate = Lane(threads=1, waiting=2), threading.Event()
    calls = [asyncio.create_task(lane.run(lambda: gate.wait(10))) for _ in range(3)]
    await until(lambda: lane.pending == 3)
    with pytest.raises(Overloaded) as refused:
        await lane.run(lambda: True)
    assert refused.value.headers == {"retry-after": "1"}
    gate.set()
    assert await asyncio.gather(*calls) == [True, True, True]
    assert await lane.run(lambda: 7) == 7
    assert (lane.pending, lane.refused) == (0, 1)
    lane.close()


async def test_a_caller_that_leaves_does_not_free_a_busy_thread(until: Any) -> None:
    lane, gate = Lane(threads=1, waiting=0), threading.Event()
    call = asyncio.create_task(lane.run(lambda: gate.wait(10)))
    await until(lambda: lane.pending)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(Overloaded):
        await lane.run(lambda: True)
    gate.set()
    await until(lambda: not lane.pending)
    assert await lane.run(lambda: True)
    lane.close()
