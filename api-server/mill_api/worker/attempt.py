"""One attempt of one job, from the claim to its end: fetch, run the child, upload, commit. Called by `worker.shell`.

While the work goes on, heartbeats renew the lease and carry the news; their answer may be "cancel" or "lost". What the
worker cannot know (a database that does not answer) ends nothing: the token decides when it is back.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mill_contracts.wire import LogLine, Progress, Stage, Succeeded
from mill_kit import trace
from mill_kit.logs import get_logger
from mill_kit.problems import Problem, Unavailable
from mill_kit.store import ObjectExists, ObjectStore
from mill_kit.telemetry import Kind, Span, Tracer
from structlog.contextvars import bound_contextvars

from mill_api.db.away import AWAY
from mill_api.jobs.ending import Databases, tenant_of
from mill_api.jobs.errors import AttemptFailed
from mill_api.jobs.handlers import Attempt, Folders, JobHandler, Outputs, Plan, Registry
from mill_api.jobs.leases import Answer, Leases, News
from mill_api.jobs.tables import JsonObject
from mill_api.worker.child.process import Command, Ears, Ending, run_child
from mill_api.worker.finishing import Finishing
from mill_api.worker.followed import TRAINER, Stages, following
from mill_api.worker.journal import Journal
from mill_api.worker.scratch import Scratch
from mill_api.worker.verdicts import Cancelled, Done, GiveUp, Lost, Returned, TryAgain, Verdict, judge, of_problem

_NEWS_EVERY = 0.5
_TRAINER = (sys.executable, "-m", "mill_trainer")
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS")


@dataclass(frozen=True)
class Patience:
    """Seconds: between heartbeats, for a child that was asked to end, for a store that is away."""

    heartbeat: float
    grace: float = 2.0
    store: float = 3600.0


@dataclass(frozen=True)
class Attempts:
    """Runs attempts. `stopping` is set when the worker shuts down."""

    databases: Databases
    leases: Leases
    registry: Registry
    finishing: Finishing
    store: ObjectStore
    scratch: Scratch
    patience: Patience
    stopping: asyncio.Event
    tracer: Tracer

    async def run(self, attempt: Attempt) -> None:
        """However it goes, the job is ended, queued again, or no longer ours. Raises nothing but programming errors."""
        with (
            bound_contextvars(**_told(attempt)),
            self.tracer.entry(f"job {attempt.kind.value}", attempt.traceparent, Kind.CONSUMER) as span,
            self.scratch.attempt(attempt.token) as folders,
        ):
            news = asyncio.Event()
            journal = Journal(folders.inputs.parent / "log.txt", news.set)
            get_logger().info("attempt_begins", kind=attempt.kind.value)
            with contextlib.closing(journal):
                verdict = await self._supervise(attempt, folders, journal, news)
            get_logger().info("attempt_ended", verdict=type(verdict).__name__)
            if span.recording:
                _note(span, attempt, verdict)

    async def _supervise(self, attempt: Attempt, folders: Folders, journal: Journal, news: asyncio.Event) -> Verdict:
        """The work, with heartbeats until its end is committed."""
        work = asyncio.create_task(self._work(attempt, folders, journal))
        beats = asyncio.create_task(self._beat(attempt, journal, news))
        stop = asyncio.create_task(self.stopping.wait())
        keep = asyncio.create_task(self._keep(attempt, beats))
        try:
            await asyncio.wait({work, beats, stop}, return_when=asyncio.FIRST_COMPLETED)
            verdict = await self._verdict(work, beats)
            await self._tell_the_rest(attempt, verdict, journal)
            await self.finishing.finish(attempt, verdict, await self._upload_log(attempt, journal, folders))
            return verdict
        finally:
            for task in (work, beats, stop, keep):
                task.cancel()
            await asyncio.gather(work, beats, stop, keep, return_exceptions=True)

    async def _verdict(self, work: "asyncio.Task[Verdict]", beats: "asyncio.Task[Verdict]") -> Verdict:
        if work.done():
            return work.result()
        verdict = beats.result() if beats.done() else Returned()
        work.cancel()
        await asyncio.wait({work})
        return verdict

    async def _beat(self, attempt: Attempt, journal: Journal, news: asyncio.Event) -> Verdict:
        """Until the answer is cancel or lost. News are carried at once, though not more often than twice a second."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), self.patience.heartbeat)
            news.clear()
            answer = await self._ask(attempt, journal.take())
            if answer is not Answer.GO_ON:
                return Cancelled() if answer is Answer.CANCEL else Lost()
            await asyncio.sleep(min(_NEWS_EVERY, self.patience.heartbeat))

    async def _keep(self, attempt: Attempt, beats: "asyncio.Task[Verdict]") -> None:
        """A cancelled job stays ours until its child is gone: go on renewing after the heartbeats have said so."""
        await asyncio.wait({beats})
        answer = Answer.GO_ON
        while answer is not Answer.LOST:
            answer, _ = await asyncio.gather(self._ask(attempt, News()), asyncio.sleep(self.patience.heartbeat))

    async def _ask(self, attempt: Attempt, news: News) -> Answer:
        """One heartbeat; a database that does not answer says nothing about whose job it is."""
        try:
            async with asyncio.timeout(2 * self.patience.heartbeat):
                return await self.leases.beat(attempt, news)
        except AWAY as error:
            get_logger().warning("heartbeat_failed", error=repr(error))
            return Answer.GO_ON

    async def _tell_the_rest(self, attempt: Attempt, verdict: Verdict, journal: Journal) -> None:
        """The lines since the last heartbeat: for a crash they matter most."""
        if not isinstance(verdict, Lost):
            await self._ask(attempt, journal.take())

    async def _work(self, attempt: Attempt, folders: Folders, journal: Journal) -> Verdict:
        """Everything but the end. What a failure means follows from its kind."""
        try:
            handler = self.registry.handler(attempt.kind)
            async with self.databases.of(attempt.tenant_id).reading(tenant_of(attempt)) as reading:
                plan = await handler.build(reading, attempt)
            if not isinstance(plan, Plan):
                async with asyncio.timeout(handler.settings.timeout):
                    return Done(await plan())
            said = judge(await self._run_child(handler, plan, folders, journal), journal.last_words)
            if not isinstance(said, Succeeded):
                return said
            return Done(await self._store(handler, attempt, Outputs(folders, said)))
        except Problem as problem:
            return of_problem(problem)
        except Exception as error:
            get_logger().exception("attempt_failed")
            return TryAgain(
                AttemptFailed(f"{type(error).__name__} around the child process; the worker's log has more")
            )

    async def _run_child(self, handler: JobHandler, plan: Plan, folders: Folders, journal: Journal) -> Ending:
        for item in plan.inputs:
            journal.note(f"fetching {item.name}")
            await asyncio.to_thread(self.store.fetch, item.key, folders.inputs / item.name, sha256=item.sha256)
        task = folders.inputs.parent / "task.json"
        task.write_text(plan.task(folders).model_dump_json())
        settings = handler.settings
        with following(self.tracer, plan.verb) as stages:
            command = Command(
                argv=(*(settings.command or _TRAINER), plan.verb, "--task", str(task)),
                env={**_environment(folders.scratch, settings.threads), **_trace_of_child()},
                cwd=folders.scratch,
                memory_bytes=settings.memory_bytes,
                timeout=settings.timeout,
                grace=self.patience.grace,
            )
            ending = await run_child(command, Ears(_aloud(journal, stages), journal.output))
            stages.ended(ending)
            return ending

    async def _store(self, handler: JobHandler, attempt: Attempt, outputs: Outputs) -> JsonObject:
        """Hours of work may wait here for a store that is away; what was half uploaded costs the attempt, not the job."""
        deadline = asyncio.get_running_loop().time() + self.patience.store
        while True:
            try:
                return await asyncio.to_thread(handler.store, attempt, outputs)
            except Unavailable as problem:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                get_logger().warning("store_away", error=problem.detail)
            except ObjectExists as problem:
                raise AttemptFailed(problem.detail) from problem
            await asyncio.sleep(2.0)

    async def _upload_log(self, attempt: Attempt, journal: Journal, folders: Folders) -> str | None:
        """The whole log as an object; None when nothing was said, or the store does not take it: no reason to lose the work."""
        journal.close()
        key, log = f"jobs/{attempt.id}/{attempt.token}/log.txt", folders.inputs.parent / "log.txt"
        if not log.stat().st_size:
            return None
        try:
            await asyncio.to_thread(self.store.put_file, key, log)
        except Exception as error:
            get_logger().warning("log_not_stored", error=repr(error))
            return None
        return key


def _told(attempt: Attempt) -> dict[str, object]:
    """What every log line of the attempt says."""
    ids: dict[str, object] = {"job_id": str(attempt.id), "request_id": attempt.request_id, "attempt": attempt.attempt}
    return ids if attempt.tenant_id is None else {**ids, "tenant": str(attempt.tenant_id)}


def _note(span: Span, attempt: Attempt, verdict: Verdict) -> None:
    """Ids alone: no name, nothing of a row."""
    span.note({f"mill.{name}": str(value) for name, value in _told(attempt).items()})
    span.note({"mill.verdict": type(verdict).__name__})
    if isinstance(verdict, (GiveUp, TryAgain)):
        span.fail(verdict.problem.slug if isinstance(verdict.problem, Problem) else "refused")


def _aloud(journal: Journal, stages: Stages) -> Callable[[Stage | Progress | LogLine], None]:
    """The journal, and a line of the trainer's in our own log: it writes to nobody but us."""

    def hear(message: Stage | Progress | LogLine) -> None:
        stages.hear(message)
        if isinstance(message, LogLine):
            getattr(get_logger(), message.level)("job_says", service=TRAINER, message=message.message)
        elif isinstance(message, Stage):
            get_logger().info("job_stage", service=TRAINER, stage=message.stage)
        journal.hear(message)

    return hear


def _trace_of_child() -> dict[str, str]:
    here = trace.current_header()
    return {trace.ENVIRONMENT: here} if here else {}


def _environment(scratch: Path, threads: int) -> Mapping[str, str]:
    """What the child may know: where programs are and how many threads to use. No `MILL_…`, so no credential."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **kept,
        "LANG": "C.UTF-8",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONUNBUFFERED": "1",
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
    }
