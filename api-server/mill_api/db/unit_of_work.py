"""One request, one transaction. Services flush; the edge commits, then runs what had to wait for the commit."""

from collections.abc import Awaitable, Callable
from typing import NewType
from uuid import UUID

from mill_kit.logs import get_logger
from mill_kit.telemetry import OFF, Tracer
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.db.presence import working_for

ReadSession = NewType("ReadSession", AsyncSession)
WriteSession = NewType("WriteSession", AsyncSession)

AfterCommit = Callable[[], Awaitable[None]]
Wake = Callable[[str, UUID], Awaitable[None]]
"""Hint to the workers of a queue that a job is there: `mill_api.queue.Sender.wake`. Never raises."""


class UnitOfWork:
    """A write session and the list of things to do once it is committed (wake a worker, announce a snapshot).

    `audited` says that a line of the audit log stands for what is written.

    What runs after the commit is a hint that something else repeats if it is lost; so its failure is logged, not raised.
    """

    def __init__(self, session: WriteSession, wake: Wake | None = None, tracer: Tracer = OFF) -> None:
        self.session = session
        self.wake = wake
        self.tracer = tracer
        self.audited = False
        self._after: list[AfterCommit] = []

    def after_commit(self, action: AfterCommit) -> None:
        self._after.append(action)

    async def finish(self) -> None:
        await self.session.commit()
        actions, self._after = self._after, []
        with working_for(None):  # what is committed is told, though the client may have left
            for action in actions:
                try:
                    await action()
                except Exception as error:
                    get_logger().warning("after_commit_failed", error=repr(error))
