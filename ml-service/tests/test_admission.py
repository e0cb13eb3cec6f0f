"""The lane takes so many and refuses the rest at once."""

import asyncio
import threading

import pytest
from mill_serving.admission import Lane
from mill_serving.errors import Overloaded


async def test_beyond_threads_and_queue_a_call_is_refused_with_a_time_to_retry() -> None:
    lane, gate = Lane(threads=1, waiting=2), threading.Event()
    calls = [asyncio.create_task(lane.run(lambda: gate.wait(10))) for _ in range(3)]
    while lane.pending < 3:
        await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await lane.run(lambda: True)
    assert refused.value.headers == {"retry-after": "1"}
    gate.set()
    assert await asyncio.gather(*calls) == [True, True, True]
    assert await lane.run(lambda: 7) == 7
    assert (lane.pending, lane.refused) == (0, 1)
    lane.close()


async def test_a_caller_that_leaves_does_not_free_a_busy_thread() -> None:
    lane, gate = Lane(threads=1, waiting=0), threading.Event()
    call = asyncio.create_task(lane.run(lambda: gate.wait(10)))
    while not lane.pending:
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(Overloaded):
        await lane.run(lambda: True)
    gate.set()
    while lane.pending:
        await asyncio.sleep(0.001)
    assert await lane.run(lambda: True)
    lane.close()
