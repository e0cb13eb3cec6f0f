"""The wake-up that follows a commit. Losing it costs latency, nothing else: the sweep repeats it."""

from uuid import UUID

from mill_contracts.jobs import Queue

from mill_api.db import UnitOfWork


def wake_after_commit(work: UnitOfWork, queue: Queue, job_id: UUID) -> None:
    """Hint to the workers of `queue` once the transaction is committed."""
    wake = work.wake
    if wake is None:
        return

    async def send() -> None:
        await wake(queue.value, job_id)

    work.after_commit(send)
