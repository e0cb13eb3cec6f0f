"""Sends wake-ups without ever troubling the caller: off the event loop, bounded in time, a failure is a log line.

Used by api-server (after a commit) and by every worker (after a release, and in the sweep). The jobs table is the outbox.
"""

# Celery comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

from celery import Celery
from celery.utils.nodenames import worker_direct
from mill_kit.logs import get_logger
from redis import Redis

from mill_api.queue.apps import CANARY, WAKE, named_queue, sender_app
from mill_api.queue.lengths import Lengths, open_broker, read_lengths

_PATIENCE = 1.0


@dataclass
class SendCounts:
    """How many sends worked and failed in this process, for /metrics."""

    sent: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Sender:
    """One per process; thread-safe. `close` it at the end."""

    app: Celery
    broker: Redis
    pool: ThreadPoolExecutor
    counts: SendCounts = field(default_factory=SendCounts)

    @classmethod
    def connect(cls, broker_url: str) -> "Sender":
        """Nothing is opened before the first send."""
        return cls(
            sender_app(broker_url), open_broker(broker_url), ThreadPoolExecutor(4, thread_name_prefix="mill-send")
        )

    async def wake(self, queue: str, job_id: UUID) -> None:
        """Tell the workers of `queue` that `job_id` is there. Never raises, returns within about a second."""
        await self._send(WAKE, str(job_id), queue)

    async def canary(self, node: str) -> bool:
        """Ask the one worker `node` (`name@host`) to show that it executes; stale ones expire unseen. False: not sent."""
        return await self._send(CANARY, node, worker_direct(node), expires=30.0)

    async def lengths(self, queues: Iterable[str]) -> Lengths | None:
        """How much lies in the broker; None when it does not answer within about a second."""
        reading = asyncio.get_running_loop().run_in_executor(self.pool, read_lengths, self.broker, queues)
        try:
            return await asyncio.wait_for(reading, _PATIENCE)
        except Exception as error:
            get_logger().warning("broker_not_read", error=repr(error))
            return None

    async def _send(self, task: str, argument: str, queue: object, expires: float | None = None) -> bool:
        try:
            await asyncio.wait_for(
                asyncio.get_running_loop().run_in_executor(self.pool, self._send_now, task, argument, queue, expires),
                _PATIENCE,
            )
        except Exception as error:
            self.counts.failed += 1
            get_logger().warning("wake_up_not_sent", task=task, argument=argument, error=repr(error))
            return False
        self.counts.sent += 1
        return True

    def _send_now(self, task: str, argument: str, queue: object, expires: float | None) -> None:
        target = named_queue(queue) if isinstance(queue, str) else queue
        self.app.send_task(task, args=[argument], queue=target, expires=expires, ignore_result=True, retry=False)

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.app.close()
        self.broker.close()
