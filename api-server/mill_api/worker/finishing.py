"""Commits the end of an attempt: once, with its token, however often it has to be tried. Called by `worker.attempt`."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mill_contracts.jobs import JobState
from mill_kit.logs import get_logger
from mill_kit.problems import Problem, Unavailable
from sqlalchemy.exc import DBAPIError

from mill_api.db import UnitOfWork
from mill_api.db.away import AWAY
from mill_api.jobs.ending import Databases, Endings, FencingRefused, tenant_of
from mill_api.jobs.errors import AttemptFailed
from mill_api.jobs.handlers import Attempt
from mill_api.jobs.leases import Leases
from mill_api.worker.verdicts import Done, GiveUp, Lost, Returned, TryAgain, Verdict, document, of_problem

_PASSING_STATES = ("40001", "40P01", "55P03")  # serialization failure, deadlock, lock not available


@dataclass(frozen=True)
class Finishing:
    """`patience` is how many seconds database or store may be away before the end is left to the sweep."""

    databases: Databases
    leases: Leases
    endings: Endings
    stopping: asyncio.Event
    patience: float = 3600.0

    async def finish(self, attempt: Attempt, verdict: Verdict, log_key: str | None) -> None:
        """Commit the end, again and again while a part it needs is away: the token makes repeating harmless.

        Hours of work wait behind this commit, so it is given up late.
        """
        deadline = asyncio.get_running_loop().time() + self.patience
        while True:
            try:
                return await self._commit(attempt, verdict, log_key)
            except (*AWAY, Unavailable, DBAPIError) as error:
                if not _may_pass(error):
                    raise
                if asyncio.get_running_loop().time() > deadline or self.stopping.is_set():
                    get_logger().error("end_not_committed", error=repr(error))
                    return None
                get_logger().warning("commit_waits", error=repr(error))
                await asyncio.sleep(1.0)

    async def _commit(self, attempt: Attempt, verdict: Verdict, log_key: str | None) -> None:
        if isinstance(verdict, Lost):
            return await self._note_refusal()
        if isinstance(verdict, Returned):
            if await self.leases.give_back(attempt) and self.databases.system.wake is not None:
                await self.databases.system.wake(attempt.queue.value, attempt.id)
            return None
        try:
            await self._in_transaction(attempt, self._end_by(attempt, verdict, log_key))
        except FencingRefused:
            return await self._note_refusal()
        except Exception as error:
            if _may_pass(error):
                raise
            get_logger().exception("end_failed")
            failed = of_problem(error) if isinstance(error, Problem) else TryAgain(_unforeseen(error))
            await self._commit_failure(attempt, verdict, failed, log_key)
        return None

    async def _commit_failure(
        self, attempt: Attempt, verdict: Verdict, failure: GiveUp | TryAgain, log_key: str | None
    ) -> None:
        """The domain would not write the result down. Where even the failure cannot be, the sweep finds the job."""
        if isinstance(verdict, Done):
            await self._in_transaction(attempt, self._end_by(attempt, failure, log_key))

    def _end_by(
        self, attempt: Attempt, verdict: Verdict, log_key: str | None
    ) -> Callable[[UnitOfWork], Awaitable[JobState]]:
        async def end(work: UnitOfWork) -> JobState:
            match verdict:
                case Done(result):
                    return await self.endings.succeed(work, attempt, result, log_key)
                case GiveUp(problem):
                    return await self.endings.give_up(work, attempt, document(problem), log_key)
                case TryAgain(problem):
                    return await self.endings.try_again(work, attempt, document(problem), log_key)
                case _:
                    return await self.endings.cancelled(work, attempt, log_key)

        return end

    async def _in_transaction(self, attempt: Attempt, end: Callable[[UnitOfWork], Awaitable[JobState]]) -> None:
        async with self.databases.of(attempt.tenant_id).writing(tenant_of(attempt)) as work:
            state = await end(work)
        get_logger().info("job_moved", state=state.value)

    async def _note_refusal(self) -> None:
        get_logger().warning("fencing_refused")
        await self.leases.count("fencing_refused")


def _may_pass(error: Exception) -> bool:
    """A part that is away comes back; a deadlock or a lost race is over when the transaction is repeated."""
    if isinstance(error, (*AWAY, Unavailable)):
        return True
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _PASSING_STATES


def _unforeseen(error: Exception) -> AttemptFailed:
    return AttemptFailed(f"{type(error).__name__} while its result was written down")
