"""The lane takes so many and refuses the rest at once."""

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from mill_serving.admission import Lane
from mill_serving.errors import DeadlineMissed, Overloaded

WITHOUT_THREADS = """
import asyncio, resource, threading
from mill_serving.admission import Lane

threading.stack_size(1 << 34)
resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33))
lane = Lane(threads=2, waiting=3)
print("\\n", lane.size, asyncio.run(lane.run(lambda: 7)), lane.done, lane.pending)
lane.close()
"""


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
    await until(lambda: lane.running == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(Overloaded):
        await lane.run(lambda: True)
    gate.set()
    await until(lambda: not lane.pending)
    assert await lane.run(lambda: True)
    lane.close()


async def test_nobody_waits_for_a_thread_longer_than_is_set(until: Any) -> None:
    lane, gate, done = Lane(threads=1, waiting=3, longest_wait=0.02), threading.Event(), threading.Event()
    busy = asyncio.create_task(lane.run(lambda: gate.wait(10)))
    await until(lambda: lane.running == 1)
    late = asyncio.create_task(lane.run(done.set))
    begun = time.perf_counter()
    await until(lambda: time.perf_counter() - begun > 0.03)
    gate.set()
    with pytest.raises(DeadlineMissed) as refused:
        await late
    assert int(refused.value.headers["retry-after"]) >= 1
    assert await busy
    assert not done.is_set()
    lane.close()


def test_without_threads_one_slot_is_left() -> None:
    """In a process that may have no more memory, and so no thread: each would need 16 GiB for its stack."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THREADS], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split("\n")[-2].split() == ["1", "7", "1", "0"], done.stderr
    assert "pool_not_built" in done.stdout + done.stderr


async def test_a_block_may_use_the_threads_that_nobody_else_uses(until: Any) -> None:
    lane, gate = Lane(3, 5), threading.Event()
    alone = await lane.run(lambda: lane.spare)
    busy = asyncio.create_task(lane.run(lambda: gate.wait(10)))
    await until(lambda: lane.running == 1)
    beside = await lane.run(lambda: lane.spare)
    gate.set()
    await busy
    lane.close()
    assert (alone, beside) == (3, 2)
