"""Jobs: the long work behind uploads, trainings and batch predictions."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from modelmill._errors import (
    ApiError,
    ConnectionFailed,
    JobCancelled,
    JobFailed,
    JobStillRunning,
    RateLimited,
    Unavailable,
)
from modelmill._events import parse_events
from modelmill._pages import walk
from modelmill._transport import Transport, path
from modelmill._types import FINAL_STATES, Job, JobEvent, LogLine

OnEvent = Callable[[JobEvent], None]
FIRST_POLL, LONGEST_POLL = 0.1, 2.0
SILENCE_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
STREAM_FAILURES = 3


class Jobs:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, **filters: Any) -> Iterator[Job]:
        """Filters: state, kind, queue."""
        return walk(self._transport, path("jobs"), Job, **filters)

    def get(self, job_id: str) -> Job:
        return Job.of(self._transport.get(path("jobs", job_id)))

    def cancel(self, job_id: str) -> Job:
        return Job.of(self._transport.post(path("jobs", job_id, "cancel")))

    def retry(self, job_id: str) -> Job:
        """A new job with the same work; the answer is the new one."""
        return Job.of(self._transport.create(path("jobs", job_id, "retry")))

    def logs(self, job_id: str) -> Iterator[LogLine]:
        """What the job has said so far, oldest first."""
        after: int | None = 0
        while after is not None:
            page: dict[str, Any] = self._transport.get(path("jobs", job_id, "logs"), after=after)
            yield from (LogLine.of(line) for line in page["lines"])
            after = page.get("next_after") if page["lines"] else None

    def events(self, job_id: str, *, after: str | None = None) -> Iterator[JobEvent]:
        """The job's events from the first (or the one after `after`) until its end, as they happen."""
        return (event for event in self._stream(job_id, after, SILENCE_SECONDS) if event is not None)

    def _stream(self, job_id: str, after: str | None, silence: float) -> Iterator[JobEvent | None]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        url = path("jobs", job_id, "events")
        with self._transport.stream(url, headers=headers, read_timeout=silence) as answer:
            yield from parse_events(answer.iter_lines())

    def wait(self, job_id: str, *, timeout: float | None = None, on_event: OnEvent | None = None) -> Job:
        """Wait for the end, by live events, else by asking again and again; a server that restarts meanwhile is waited for.

        Raises `JobFailed`, `JobCancelled`, or `JobStillRunning` after `timeout` seconds (the job goes on).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        job = self._by_events(job_id, deadline, on_event) or self._by_polling(job_id, deadline, on_event)
        if not job.is_final:
            raise JobStillRunning(job, timeout or 0.0)
        if job.state == "failed":
            raise JobFailed(job)
        if job.state == "cancelled":
            raise JobCancelled(job)
        return job

    def _by_events(self, job_id: str, deadline: float | None, on_event: OnEvent | None) -> Job | None:
        """None when the stream breaks again and again: a proxy may not let it through."""
        last: str | None = None
        failures = 0
        while failures < STREAM_FAILURES:
            try:
                for event in self._stream(job_id, last, _silence(deadline)):
                    failures = 0
                    if event is not None:
                        last = event.id or last
                        if on_event is not None:
                            on_event(event)
                    if _is_over(deadline) or (event is not None and _ends(event)):
                        return self._patiently(job_id, deadline)
            except (ConnectionFailed, Unavailable):
                pass
            except ApiError as error:
                if error.status in {401, 403, 404} and error.type:
                    raise
                return None
            job = self._patiently(job_id, deadline)
            if job.is_final or _is_over(deadline):
                return job
            failures += 1
        return None

    def _patiently(self, job_id: str, deadline: float | None) -> Job:
        """The job, also when the server is away for a while: the work goes on without it, or again when it is back."""
        patience = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.get(job_id)
            except (ConnectionFailed, RateLimited, Unavailable):
                if time.monotonic() > patience or _is_over(deadline):
                    raise
                time.sleep(LONGEST_POLL / 2)

    def _by_polling(self, job_id: str, deadline: float | None, on_event: OnEvent | None) -> Job:
        pause = FIRST_POLL
        seen: Job | None = None
        while True:
            job = self._patiently(job_id, deadline)
            if on_event is not None and job != seen:
                for event in _changes(job):
                    on_event(event)
            if job.is_final or _is_over(deadline):
                return job
            seen, pause = job, min(pause * 1.5, LONGEST_POLL)
            time.sleep(pause)


def _ends(event: JobEvent) -> bool:
    return event.kind == "state" and event.data.get("state") in FINAL_STATES


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _silence(deadline: float | None) -> float:
    """How long a stream may say nothing, keep-alives included, before it counts as broken."""
    return SILENCE_SECONDS if deadline is None else min(SILENCE_SECONDS, max(0.1, deadline - time.monotonic()))


def _changes(job: Job) -> Iterator[JobEvent]:
    yield JobEvent("state", {"state": job.state})
    if job.stage is not None:
        yield JobEvent("stage", {"stage": job.stage})
    if job.progress is not None:
        yield JobEvent("progress", {"progress": job.progress})
