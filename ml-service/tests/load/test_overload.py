"""More than can be done: what is accepted is done in time, the rest is told at once when to come back."""

import asyncio
import socket
import threading
import time
from pathlib import Path
from shutil import copy
from typing import Any

import httpx
import pytest
from mill_serving.admission import Lane
from mill_serving.deadline import DEADLINE, deadline_of
from mill_serving.errors import DeadlineMissed, InvalidRequest, Overloaded, TooManyForModel

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
DEADLINE_MS = 1500


async def test_one_model_may_not_take_the_whole_queue(until: Any) -> None:
    lane, gate = Lane(threads=1, waiting=3, waiting_per_model=1), threading.Event()
    calls = [asyncio.create_task(lane.run(lambda: gate.wait(10), "greedy")) for _ in range(2)]
    await until(lambda: lane.pending == 2)
    with pytest.raises(TooManyForModel) as refused:
        await lane.run(lambda: True, "greedy")
    assert (refused.value.status, refused.value.headers) == (429, {"retry-after": "1"})
    calls += [asyncio.create_task(lane.run(lambda: True, "modest")) for _ in range(2)]
    await until(lambda: lane.pending == 4)
    with pytest.raises(Overloaded):
        await lane.run(lambda: True, "another")
    gate.set()
    assert await asyncio.gather(*calls) == [True] * 4
    assert (lane.pending, lane.refused) == (0, 2)
    lane.close()


async def test_work_whose_deadline_passes_in_the_queue_is_not_done(until: Any) -> None:
    lane, gate, done = Lane(threads=1, waiting=3), threading.Event(), threading.Event()
    busy = asyncio.create_task(lane.run(lambda: gate.wait(10)))
    await until(lambda: lane.running == 1)

    async def hurried() -> None:
        DEADLINE.set(deadline_of(b"1"))
        await lane.run(done.set)

    late = asyncio.create_task(hurried())
    await until(lambda: lane.pending == 2)
    await asyncio.sleep(0.002)
    gate.set()
    with pytest.raises(DeadlineMissed):
        await late
    await busy
    assert not done.is_set()
    assert lane.dropped == 1
    lane.close()


async def test_a_deadline_the_queue_cannot_meet_is_refused_at_once(until: Any) -> None:
    lane, gate = Lane(threads=1, waiting=50), threading.Event()
    await lane.run(lambda: time.sleep(0.05))
    calls = [asyncio.create_task(lane.run(lambda: gate.wait(10))) for _ in range(10)]
    await until(lambda: lane.pending == 10)
    assert lane.expected_wait > 0.4

    async def hurried() -> None:
        DEADLINE.set(deadline_of(b"100"))
        await lane.run(lambda: True)

    with pytest.raises(DeadlineMissed):
        await asyncio.create_task(hurried())
    gate.set()
    await asyncio.gather(*calls)
    lane.close()


async def test_what_a_caller_left_behind_in_the_queue_is_not_done(until: Any) -> None:
    lane, gate, done = Lane(threads=1, waiting=3), threading.Event(), threading.Event()
    busy = asyncio.create_task(lane.run(lambda: gate.wait(10)))
    await until(lambda: lane.running == 1)
    left = asyncio.create_task(lane.run(done.set))
    await until(lambda: lane.pending == 2)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    await until(lambda: lane.pending == 1)
    gate.set()
    assert await busy
    assert (done.is_set(), lane.dropped) == (False, 1)
    lane.close()


@pytest.mark.parametrize("value", [b"", b"0", b"-1", b"1.5", b"soon", b"99999999", "١٠".encode()])
def test_a_deadline_is_a_whole_number_of_milliseconds(value: bytes) -> None:
    with pytest.raises(InvalidRequest):
        deadline_of(value)


async def test_under_three_times_the_capacity_accepted_calls_are_in_time_and_others_refused_quickly(
    tmp_path: Path, build: Any, launch: Any
) -> None:
    copy(build("demo", hidden=(64,) * 16).path, tmp_path / "demo.mill")
    variables = {
        "MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path),
        "MILL_SERVING__THREADS": "1",
        "MILL_SERVING__WAITING_BLOCKS": "8",
    }
    body = {"inputs": [ROW] * 2000}
    headers = {"x-request-deadline-ms": str(DEADLINE_MS)}
    with launch(tmp_path, store=False, **variables) as replica:
        assert (
            replica.http.post(
                "/predict/demo", json={"input_data": ROW}, headers={"x-request-deadline-ms": "x"}
            ).status_code
            == 422
        )
        begun = time.perf_counter()
        for _ in range(5):
            assert replica.http.post("/predict/demo/batch", json=body).status_code == 200
        each = (time.perf_counter() - begun) / 5
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=str(replica.http.base_url), limits=limits, timeout=30) as client:
            content = httpx.Request("POST", "http://x", json=body).content

            async def call(number: int) -> httpx.Response:
                await asyncio.sleep(number * each / 3)  # arrivals do not wait for answers: three times what can be done
                return await client.post("/predict/demo/batch", content=content, headers=headers)

            answers = await asyncio.gather(*(call(number) for number in range(90)))
        accepted = [answer.json()["total_processing_time"] for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code in {429, 503}]
        assert len(accepted) + len(refused) == len(answers)
        assert accepted
        assert refused
        assert (
            max(accepted) < DEADLINE_MS + 2e3 * each
        )  # from its arrival at the service; the work itself may be slow once
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert replica.metric("inference_lane_refused_total") + replica.metric("inference_lane_dropped_total") >= len(
            refused
        )
        assert replica.predict("demo").status_code == 200


def test_clients_that_leave_take_their_work_with_them(tmp_path: Path, build: Any, launch: Any, reach: Any) -> None:
    copy(build("demo").path, tmp_path / "demo.mill")
    variables = {
        "MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path),
        "MILL_SERVING__THREADS": "1",
        "MILL_SERVING__WAITING_BLOCKS_PER_MODEL": "128",
    }
    body = httpx.Request("POST", "http://x", json={"inputs": [ROW] * 10_000}).content
    head = f"POST /predict/demo/batch HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with launch(tmp_path, store=False, **variables) as replica:
        address = (replica.http.base_url.host, replica.http.base_url.port)
        lines = [socket.create_connection(address, timeout=10) for _ in range(100)]
        for line in lines:
            line.sendall(head + body)
        reach(lambda: replica.metric("inference_lane_pending") > 5)
        for line in lines:
            line.close()
        reach(lambda: replica.metric("inference_lane_pending") == 0)
        reach(lambda: replica.metric("active_requests") == 1)
        assert replica.metric("inference_lane_dropped_total") > 0
        assert replica.predict("demo").status_code == 200
        assert "Traceback" not in replica.log.read_text()
