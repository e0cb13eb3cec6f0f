"""A broker that is emptied, killed or half gone costs latency, and no job."""

import asyncio
import socket
from typing import Any

import pytest
from mill_api.jobs.testing import Ledger
from mill_contracts.jobs import JobState
from mill_local.valkey import ValkeyServer

DONE: dict[str, Any] = {"say": {"kind": "succeeded", "files": []}}


def tell_broker(server: ValkeyServer, command: str) -> str:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
        line.sendall(f"AUTH {server.password}\r\n{command}\r\nQUIT\r\n".encode())
        with line.makefile() as answers:
            return answers.read().split("\n")[1].strip()


async def test_an_emptied_broker_loses_no_job(work_ledger: Ledger, workers: Any, valkey_server: ValkeyServer) -> None:
    jobs = [await work_ledger.add(steps=[DONE]) for _ in range(12)]
    assert await asyncio.to_thread(tell_broker, valkey_server, "LLEN data") == ":12"
    assert await asyncio.to_thread(tell_broker, valkey_server, "FLUSHALL") == "+OK"
    workers.start(concurrency=2)
    for job in jobs:
        await work_ledger.until_state(job, JobState.SUCCEEDED)
    assert len(await work_ledger.sql("SELECT job_id FROM witness")) == len(jobs)


class Wire:
    """Between worker and broker: `cut` leaves every open connection half-open, as a dropped route does; new ones pass."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for silent in self._open:
            silent.set()
        self._open.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._port)
        silent = asyncio.Event()
        self._open.add(silent)
        for source, target in ((reader, there[1]), (there[0], writer)):
            task = asyncio.create_task(self._carry(source, target, silent))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, silent: asyncio.Event) -> None:
        try:
            while data := await source.read(65_536):
                if not silent.is_set():
                    target.write(data)
        finally:
            target.close()


@pytest.mark.slow
async def test_a_half_open_connection_does_not_silence_the_worker(
    work_ledger: Ledger, workers: Any, valkey_server: ValkeyServer
) -> None:
    async with Wire(valkey_server.port) as wire:
        workers.environment["MILL_BROKER__URL"] = valkey_server.url.replace(f":{valkey_server.port}/", f":{wire.port}/")
        workers.start()
        await work_ledger.until_heard()
        wire.cut()
        await work_ledger.sql("UPDATE workers SET canary_ran_at = NULL")
        await work_ledger.until_heard()


async def test_the_worker_survives_a_broker_that_is_killed(work_ledger: Ledger, workers: Any) -> None:
    with ValkeyServer.temporary() as broker:
        workers.environment["MILL_BROKER__URL"] = broker.url
        workers.start()
        await work_ledger.until_heard()
    job = await work_ledger.add(steps=[DONE])
    await work_ledger.until_state(job, JobState.SUCCEEDED)
